-- The outbox: what came in, what is true, what is owed, what was told, and what it cost.
-- Times are integer microseconds since 1970-01-01 UTC. The views below are what people and their
-- tools rely on; the tables may change with any version.

-- 'ROST', so that another program's database is never taken for an outbox.
PRAGMA application_id = 1380930388;

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
-- One row per fact about this file: `seal`, the key of all keyed digests; `stamp`, the last try to
-- write; `indexed`, the newest event in event_key; `restored_at`, when it was put back from a
-- backup, and `restored`, the same until the next start; `clock`, what the clocks were when they
-- were last looked at.

CREATE TABLE event (
    id               INTEGER PRIMARY KEY,
    source           TEXT    NOT NULL,
    -- The CHECKs of this table say OR: for an IN of more than two words SQLite makes a table in
    -- memory whenever a row is written, and four of them were a good part of what storing one costs.
    origin           TEXT    NOT NULL
                     CHECK (origin = 'webhook' OR origin = 'reconcile' OR origin = 'backfill'),
    -- The envelope's id, or the SHA-256 of the body of one that has none. It outlives the body.
    key              TEXT    NOT NULL,
    kind             TEXT    NOT NULL
                     CHECK (kind = 'booking' OR kind = 'customer' OR kind = 'redemption'
                            OR kind = 'signed_waiver' OR kind = 'other'),
    action           TEXT    NOT NULL
                     CHECK (action = 'created' OR action = 'updated' OR action = 'cancelled'
                            OR action = 'deleted' OR action = 'other'),
    -- ROLLER's eventDate.
    occurred_at      INTEGER,
    booking          TEXT,
    reference        TEXT,
    state            TEXT    NOT NULL
                     CHECK (state = 'waiting' OR state = 'processing' OR state = 'done'
                            OR state = 'parked' OR state = 'ignored'),
    reason           TEXT,
    received_at      INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    -- When it may be taken next; while it is being processed, when its lease ends.
    due_at           INTEGER NOT NULL,
    attempts         INTEGER NOT NULL DEFAULT 0,
    first_failure_at INTEGER,
    duplicates       INTEGER NOT NULL DEFAULT 0,
    -- It was retried by hand, or comes back from a backup: what it knows may be old.
    wary             INTEGER NOT NULL DEFAULT 0 CHECK (wary IN (0, 1)),
    -- As it came, byte for byte; NULL once finished work is older than `keep`.
    body             BLOB
) STRICT;
-- One row per webhook, or per item found by reconciliation; rows are never deleted. No two of a
-- source have the same key: see event_key.

CREATE INDEX event_due ON event (source, due_at, state) WHERE state IN ('waiting', 'processing');
CREATE INDEX event_processing ON event (source) WHERE state = 'processing';
CREATE INDEX event_parked ON event (id) WHERE state = 'parked';
CREATE INDEX event_body ON event (updated_at)
    WHERE body IS NOT NULL AND state IN ('done', 'ignored');
-- For listings, the newest first; which pairs there are, `counter` tells.
-- Not for what waits, so that it is not written with every webhook.
CREATE INDEX event_listed ON event (source, state) WHERE state IN ('done', 'ignored', 'parked');

CREATE TABLE event_key (
    -- CRC-32 of source and key, for a short index is written sooner; which of the events with the
    -- same one is meant, their own columns tell.
    digest INTEGER NOT NULL,
    event  INTEGER NOT NULL,
    PRIMARY KEY (digest, event)
) STRICT, WITHOUT ROWID;
-- Finds an event by its key. The newest are not in it yet: those after meta's `indexed` are held in
-- memory, and read back from `event` at a start.

CREATE TABLE subject (
    id          INTEGER PRIMARY KEY,
    source      TEXT    NOT NULL,
    -- A visit is that somebody came to a booking; a minor a customer whom a waiver calls one;
    -- erased a customer whom ROLLER has deleted.
    kind        TEXT    NOT NULL
                CHECK (kind IN ('booking', 'guest', 'venue', 'product', 'visit', 'minor',
                                'erased')),
    -- ROLLER's uniqueId, customerId or productId; '' for the venue itself.
    key         TEXT    NOT NULL,
    -- A booking's newest eventDate; when a guest, a product or a venue was fetched; when somebody
    -- came, was erased, or signed a waiver. An older one never overwrites a newer one.
    as_of       INTEGER NOT NULL,
    -- The event that brought it.
    event       INTEGER REFERENCES event (id),
    -- JSON, only the fields that a destination can use; NULL once no work needs it.
    doc         TEXT,
    UNIQUE (source, kind, key)
) STRICT;
-- The newest known truth about a booking, a guest, a venue …

CREATE INDEX subject_doc ON subject (kind, as_of) WHERE doc IS NOT NULL;

CREATE TABLE ticket (
    source  TEXT    NOT NULL,
    ticket  TEXT    NOT NULL,
    booking TEXT    NOT NULL,
    -- When it was learnt, or when its visit will be over.
    at      INTEGER NOT NULL,
    PRIMARY KEY (source, ticket)
) STRICT, WITHOUT ROWID;
-- Which booking a ticket is of, for a redemption names no other. It goes once `keep` is over.
CREATE INDEX ticket_at ON ticket (at);

CREATE TABLE sweep (
    id         INTEGER PRIMARY KEY,
    source     TEXT    NOT NULL,
    origin     TEXT    NOT NULL CHECK (origin IN ('reconcile', 'backfill')),
    -- The venue's own days, as YYYY-MM-DD: the first and the last that are asked for.
    since      TEXT    NOT NULL,
    until      TEXT    NOT NULL,
    guests_only INTEGER NOT NULL DEFAULT 0 CHECK (guests_only IN (0, 1)),
    -- It only counts what would be taken in.
    dry_run    INTEGER NOT NULL DEFAULT 0 CHECK (dry_run IN (0, 1)),
    -- Only this feed: a part that another run had to leave unread.
    only       TEXT,
    state      TEXT    NOT NULL CHECK (state IN ('running', 'done', 'waiting', 'failed')),
    -- Why it waits or has failed, how often in a row, and when it is tried again.
    reason     TEXT,
    tries      INTEGER NOT NULL DEFAULT 0,
    due_at     INTEGER NOT NULL DEFAULT 0,
    -- The source does not let it be read, whatever the day.
    forbidden  INTEGER NOT NULL DEFAULT 0 CHECK (forbidden IN (0, 1)),
    -- Where it goes on: the day, the feed and the page that are to be read next.
    day        TEXT    NOT NULL,
    feed       TEXT    NOT NULL,
    page       INTEGER NOT NULL,
    -- Rows that the feed had on that day when a page of it was read last: if they have become fewer,
    -- what is behind has moved up. NULL before its first page.
    row_count  INTEGER,
    -- Rows of a page as its first one was asked for, and how often it was gone back.
    page_size  INTEGER,
    backs      INTEGER NOT NULL DEFAULT 0,
    seen       INTEGER NOT NULL DEFAULT 0,
    known      INTEGER NOT NULL DEFAULT 0,
    taken_in   INTEGER NOT NULL DEFAULT 0,
    -- JSON: how many cannot be sent, by reason.
    unsendable TEXT    NOT NULL DEFAULT '{}',
    -- The last day up to which the source has been read whole, once this run was done.
    watermark  TEXT,
    started_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
-- A run through what a source says has changed, in order to find what no webhook has told.
CREATE INDEX sweep_source ON sweep (source, origin, state);
CREATE INDEX sweep_open ON sweep (source, id) WHERE state IN ('running', 'waiting');

CREATE TABLE waiver_day (
    source TEXT NOT NULL,
    day    TEXT NOT NULL,
    PRIMARY KEY (source, day)
) STRICT, WITHOUT ROWID;
-- The venue's own days whose signed waivers were read whole: who is a minor by them is known.

CREATE TABLE report_pace (
    source  TEXT    PRIMARY KEY,
    free_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- When a source's allowance for reports is whole again after the requests made so far, so that a
-- start does not take it for unspent.

CREATE TABLE webhook (
    source      TEXT    PRIMARY KEY,
    -- When the newest came, a repetition too.
    received_at INTEGER,
    -- The last look that found that the source sends all that is needed, and the ids, as JSON, of
    -- the subscriptions by which it did.
    seen_at     INTEGER,
    seen        TEXT    NOT NULL DEFAULT '[]',
    -- A gap, until a reconciliation has read what was missed in it: since when webhooks may never
    -- come; until when, NULL while that is still so; and the run that looks for them.
    gap_since   INTEGER,
    gap_until   INTEGER,
    gap_run     INTEGER REFERENCES sweep (id)
) STRICT, WITHOUT ROWID;
-- One row per source: whether its webhooks come.

CREATE TABLE noted (
    source   TEXT    NOT NULL,
    -- calls: requests, by the month as YYYY-MM. drift: fields that differ from what is documented,
    -- as "new booking.items.colour".
    what     TEXT    NOT NULL CHECK (what IN ('calls', 'drift')),
    name     TEXT    NOT NULL,
    n        INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (source, what, name)
) STRICT, WITHOUT ROWID;
-- What is counted about a source for years.

CREATE TABLE delivery (
    id               INTEGER PRIMARY KEY,
    event            INTEGER NOT NULL REFERENCES event (id),
    source           TEXT    NOT NULL,
    destination      TEXT    NOT NULL,
    kind             TEXT    NOT NULL
                     CHECK (kind IN ('booking', 'guest', 'consent', 'tag', 'product', 'event')),
    -- Which of several of a kind: a tag's role; of a booking `arrived` or `complete`, once it comes
    -- to that. '' elsewhere.
    detail           TEXT    NOT NULL DEFAULT '',
    -- Keys of the subjects; no personal data.
    booking          TEXT,
    reference        TEXT,
    customer         TEXT,
    priority         INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 6),
    state            TEXT    NOT NULL CHECK (state IN (
                         'waiting', 'sending', 'delivered', 'superseded',
                         'skipped', 'parked', 'dropped', 'erased')),
    reason           TEXT,
    -- When its event came about at the source. A booking's newer deliveries supersede its older
    -- ones in this order, and in that of `id` where it ties.
    as_of            INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    -- When it may be taken next; while it is being sent, when its lease ends.
    due_at           INTEGER NOT NULL,
    -- It was not due when it was last written. Once it is, a claim writes it anew: so whatever must
    -- wait stands in nobody's way, and what is due stays so when the wall clock is set back.
    held             INTEGER NOT NULL GENERATED ALWAYS AS (due_at > updated_at) VIRTUAL,
    attempts         INTEGER NOT NULL DEFAULT 0,
    first_failure_at INTEGER,
    -- When a request was answered that is not its last: of it, or of the guest for whom it waited.
    begun_at         INTEGER,
    begun            INTEGER NOT NULL GENERATED ALWAYS AS (begun_at IS NOT NULL) VIRTUAL,
    -- It comes from no webhook, or was retried by hand: what it knows may be old.
    wary             INTEGER NOT NULL DEFAULT 0 CHECK (wary IN (0, 1)),
    -- The delivery that must end first: a guest before its bookings.
    waits_for        INTEGER REFERENCES delivery (id),
    superseded_by    INTEGER REFERENCES delivery (id),
    -- Its age, as an order: its own, or that of an older one which it replaced, or which waits for
    -- it. No clock has a part in it.
    older            INTEGER,
    place            INTEGER NOT NULL GENERATED ALWAYS AS (coalesce(older, id)) VIRTUAL,
    CHECK ((superseded_by IS NOT NULL) = (state = 'superseded')),
    CHECK (waits_for IS NULL OR state IN ('waiting', 'parked'))
) STRICT;
-- An intent: what a destination is owed. It has no payload: that is made when a request may go out.

-- What may be taken, in the order of going: what is begun and what is not of each class and source
-- is a line of its own.
CREATE INDEX delivery_ready ON delivery (destination, priority, begun, source, place)
    WHERE state = 'waiting' AND waits_for IS NULL AND held = 0;
CREATE INDEX delivery_least_tried ON delivery (destination, priority, attempts, place)
    WHERE state = 'waiting' AND waits_for IS NULL AND held = 0;
CREATE INDEX delivery_due ON delivery (destination, held, priority, due_at)
    WHERE state = 'waiting' AND waits_for IS NULL;
-- What a step of the wall clock must be told: few, for most never fail.
CREATE INDEX delivery_failed ON delivery (id)
    WHERE first_failure_at IS NOT NULL AND state = 'waiting';
CREATE INDEX delivery_sending ON delivery (destination, due_at) WHERE state = 'sending';
CREATE INDEX delivery_waits_for ON delivery (waits_for) WHERE waits_for IS NOT NULL;
CREATE INDEX delivery_parked ON delivery (destination, id) WHERE state = 'parked';
CREATE INDEX delivery_booking ON delivery (source, booking, destination, kind, as_of);
-- SQLite takes a partial index only for a query that states its condition in the same words.
CREATE INDEX delivery_open ON delivery (source, customer, destination, kind)
    WHERE state IN ('waiting', 'sending', 'parked');
-- Bookings by who holds or held them.
CREATE INDEX delivery_holder ON delivery (source, customer, destination, as_of)
    WHERE kind = 'booking';
CREATE INDEX delivery_event ON delivery (event);
CREATE INDEX delivery_reference ON delivery (reference);
-- For listings, as with events.
CREATE INDEX delivery_listed ON delivery (destination, state);
CREATE INDEX delivery_reason ON delivery (destination, state, reason) WHERE reason IS NOT NULL;

-- What takes another's place in the line stands where that stood: a booking that changes every day
-- would else never be told in a backlog of two. So does the guest for whom a booking waits.
CREATE TRIGGER place_taken AFTER UPDATE OF superseded_by ON delivery
WHEN NEW.superseded_by IS NOT NULL AND OLD.state = 'waiting' BEGIN
    UPDATE delivery SET older = NEW.place WHERE id = NEW.superseded_by AND place > NEW.place;
END;
CREATE TRIGGER place_lent AFTER UPDATE OF waits_for ON delivery
WHEN NEW.waits_for IS NOT NULL BEGIN
    UPDATE delivery SET older = NEW.place WHERE id = NEW.waits_for AND place > NEW.place;
END;

CREATE TABLE told (
    destination  TEXT NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('guest', 'booking', 'customer')),
    -- A keyed digest of the guest's e-mail, or the booking as source/uniqueId; or source/customerId,
    -- for that a customer was told of, whatever their e-mail was then.
    key          TEXT NOT NULL,
    -- The destination's own id of the guest; for a booking, of the guest who holds it there.
    remote_id    TEXT,
    -- JSON: the keyed digest of the last payload, tags, consent and ROLLER's value behind it.
    doc          TEXT NOT NULL,
    updated_at   INTEGER NOT NULL,
    PRIMARY KEY (destination, kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX told_guest ON told (updated_at) WHERE kind = 'guest';
-- What a destination was last told. It outlives `keep`, and holds nothing that names a person.

-- A booking whose registration was not answered is `in_doubt` in its doc, and the consent that went
-- along is in its guest's, under `maybe`. Whoever retries its delivery by hand has seen that it is
-- not there, and whoever drops it that it is. After a restore there may be doubt without a row.
CREATE TRIGGER doubt_retried AFTER UPDATE OF state ON delivery
WHEN OLD.state = 'parked' AND OLD.reason = 'unknown outcome' AND OLD.booking IS NOT NULL
 AND (NEW.state = 'waiting' OR NEW.reason = 'restored: decided anew') BEGIN
    UPDATE told
        SET doc = json_patch(told.doc, json_object('maybe', json_object(doubt.key, NULL)))
        FROM (SELECT key, json_extract(doc, '$.person') AS person FROM told
              WHERE destination = OLD.destination AND kind = 'booking'
                AND key = OLD.source || '/' || OLD.booking AND json_extract(doc, '$.in_doubt'))
             AS doubt
        WHERE told.destination = OLD.destination AND told.kind = 'guest'
          AND told.key = doubt.person;
    INSERT INTO told (destination, kind, key, doc, updated_at)
        VALUES (OLD.destination, 'booking', OLD.source || '/' || OLD.booking,
                json_object('guest', NULL, 'customer', NULL, 'payload_hash', '',
                            'absent', json('true')), NEW.updated_at)
        ON CONFLICT DO UPDATE SET doc = excluded.doc WHERE json_extract(told.doc, '$.in_doubt');
END;
CREATE TRIGGER doubt_dropped AFTER UPDATE OF state ON delivery
WHEN OLD.state = 'parked' AND OLD.reason = 'unknown outcome' AND OLD.booking IS NOT NULL
 AND NEW.state = 'dropped' BEGIN
    INSERT INTO told (destination, kind, key, doc, updated_at)
        VALUES (OLD.destination, 'booking', OLD.source || '/' || OLD.booking,
                json_object('guest', NULL, 'customer', OLD.customer, 'payload_hash', ''),
                NEW.updated_at)
        ON CONFLICT DO UPDATE SET doc = json_remove(told.doc, '$.in_doubt', '$.person');
END;

CREATE TABLE attempt (
    id           INTEGER PRIMARY KEY,
    destination  TEXT    NOT NULL,
    -- NULL for a request that serves no single delivery: a token.
    delivery     INTEGER REFERENCES delivery (id),
    method       TEXT    NOT NULL,
    path         TEXT    NOT NULL,
    -- Written before the request leaves: by the wall clock, and by the clock of this boot.
    started_at   INTEGER NOT NULL,
    started_boot INTEGER NOT NULL,
    boot_id      TEXT    NOT NULL,
    -- How long the request can have been on its way at most, should we never learn more.
    timeout_us   INTEGER NOT NULL,
    -- NULL while open.
    ended_at     INTEGER,
    ended_boot   INTEGER,
    status       INTEGER,
    outcome      TEXT    NOT NULL DEFAULT 'open' CHECK (outcome IN (
                     'open', 'ok', 'retry', 'rejected', 'rate_limited', 'unknown')),
    note         TEXT,
    CHECK ((ended_at IS NULL) = (outcome = 'open'))
) STRICT;
-- Every request to a destination: the ledger of its allowance, and the history, in one.

-- The newest by `id`: a wall clock that was stepped cannot change their order.
CREATE INDEX attempt_newest ON attempt (destination, id);
CREATE INDEX attempt_ended ON attempt (destination, ended_at);
CREATE INDEX attempt_open ON attempt (destination) WHERE outcome = 'open';
CREATE INDEX attempt_delivery ON attempt (delivery);

-- What `status` says, kept by the same transaction that changes a row, whoever changes it. New
-- events alone are counted by whoever stores them, many at a time.
CREATE TABLE counter (
    what  TEXT    NOT NULL CHECK (what IN ('event', 'delivery')),
    -- A source's or a destination's name.
    owner TEXT    NOT NULL,
    -- A state, or 'duplicates'.
    state TEXT    NOT NULL,
    n     INTEGER NOT NULL,
    PRIMARY KEY (what, owner, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER event_moved AFTER UPDATE OF state ON event WHEN OLD.state <> NEW.state BEGIN
    UPDATE counter SET n = n - 1
        WHERE what = 'event' AND owner = OLD.source AND state = OLD.state;
    INSERT INTO counter (what, owner, state, n) VALUES ('event', NEW.source, NEW.state, 1)
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER event_repeated AFTER UPDATE OF duplicates ON event BEGIN
    INSERT INTO counter (what, owner, state, n)
        VALUES ('event', NEW.source, 'duplicates', NEW.duplicates - OLD.duplicates)
        ON CONFLICT DO UPDATE SET n = n + excluded.n;
END;
CREATE TRIGGER delivery_added AFTER INSERT ON delivery BEGIN
    INSERT INTO counter (what, owner, state, n) VALUES ('delivery', NEW.destination, NEW.state, 1)
        ON CONFLICT DO UPDATE SET n = n + 1;
END;

-- What waits or is being sent, for the estimates: its class and kind tell how many requests it is.
CREATE TABLE owed (
    destination TEXT    NOT NULL,
    priority    INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    n           INTEGER NOT NULL,
    PRIMARY KEY (destination, priority, kind)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER owed_added AFTER INSERT ON delivery WHEN NEW.state IN ('waiting', 'sending') BEGIN
    INSERT INTO owed (destination, priority, kind, n)
        VALUES (NEW.destination, NEW.priority, NEW.kind, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER owed_ended AFTER UPDATE OF state, priority ON delivery
WHEN OLD.state IN ('waiting', 'sending')
 AND (NEW.state NOT IN ('waiting', 'sending') OR NEW.priority <> OLD.priority) BEGIN
    UPDATE owed SET n = n - 1
        WHERE destination = OLD.destination AND priority = OLD.priority AND kind = OLD.kind;
END;
CREATE TRIGGER owed_again AFTER UPDATE OF state, priority ON delivery
WHEN NEW.state IN ('waiting', 'sending')
 AND (OLD.state NOT IN ('waiting', 'sending') OR NEW.priority <> OLD.priority) BEGIN
    INSERT INTO owed (destination, priority, kind, n)
        VALUES (NEW.destination, NEW.priority, NEW.kind, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER delivery_moved AFTER UPDATE OF state ON delivery WHEN OLD.state <> NEW.state BEGIN
    UPDATE counter SET n = n - 1
        WHERE what = 'delivery' AND owner = OLD.destination AND state = OLD.state;
    INSERT INTO counter (what, owner, state, n) VALUES ('delivery', NEW.destination, NEW.state, 1)
        ON CONFLICT DO UPDATE SET n = n + 1;
END;

CREATE TABLE allowance (
    destination TEXT    PRIMARY KEY,
    requests    INTEGER NOT NULL,
    window_us   INTEGER NOT NULL,
    -- What an answer 429 has taught: how many twentieths of `requests` were not to be used when the
    -- last one came, and for how long nothing; when that was, as of an attempt. NULL before any.
    twentieths  INTEGER,
    hold_us     INTEGER,
    learnt_at   INTEGER,
    learnt_boot INTEGER,
    boot_id     TEXT
) STRICT, WITHOUT ROWID;
-- The allowance of each destination, as it is configured now.

-- The views. Times are ISO 8601 UTC, ids are text, and nothing in them names a person.

CREATE VIEW events AS
SELECT 'e' || id AS id, source, origin, kind, action, key, reference, booking, state, reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1e6, 'unixepoch') AS received_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1e6, 'unixepoch') AS updated_at,
       attempts, duplicates
FROM event;

CREATE VIEW deliveries AS
SELECT 'd' || id AS id, 'e' || event AS event, source, destination, kind, reference, booking,
       state, reason, priority,
       strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1e6, 'unixepoch') AS created_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', due_at / 1e6, 'unixepoch') AS due_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1e6, 'unixepoch') AS updated_at,
       attempts, 'd' || superseded_by AS superseded_by
FROM delivery;

CREATE VIEW attempts AS
SELECT 'a' || id AS id, 'd' || delivery AS delivery,
       strftime('%Y-%m-%dT%H:%M:%fZ', started_at / 1e6, 'unixepoch') AS at,
       method, path, status, (ended_boot - started_boot) / 1000 AS duration_ms, outcome, note
FROM attempt;

CREATE VIEW parked AS
SELECT 'event' AS what, 'e' || id AS id, source, NULL AS destination, reference, booking, reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1e6, 'unixepoch') AS since
FROM event WHERE state = 'parked'
UNION ALL
SELECT 'delivery', 'd' || id, source, destination, reference, booking, reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1e6, 'unixepoch')
FROM delivery WHERE state = 'parked';

CREATE VIEW backlog AS
SELECT destination, priority, count(*) AS waiting,
       strftime('%Y-%m-%dT%H:%M:%fZ', min(created_at) / 1e6, 'unixepoch') AS oldest_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', min(due_at) / 1e6, 'unixepoch') AS next_due_at
FROM delivery WHERE state = 'waiting'
GROUP BY destination, priority;

CREATE VIEW budget AS
SELECT destination, window_us / 1e6 AS window_s, requests AS limit_requests,
       (SELECT count(*) FROM attempt
        WHERE attempt.destination = bound.destination AND ended_at > since)
       + (SELECT count(*) FROM attempt
          WHERE attempt.destination = bound.destination AND outcome = 'open'
            AND started_at + timeout_us > since) AS used
FROM (SELECT destination, window_us, requests,
             -- With the margin that `Budget` adds, so that both count the same.
             CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)
             - window_us - min(500000, window_us / 200) AS since
      FROM allowance) AS bound;
