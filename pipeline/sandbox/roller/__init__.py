"""The simulated ROLLER.

Beside the vendor's routes it takes, each as a POST of JSON under `/_sandbox/`:

- `play`: bookings and people, made and changed by dice (`playbill.Play`)
- `seed`: a venue's past, without webhooks (`seed.Seed`)
- `bookings`, `guests`, `waivers`, `redemptions`, `notices`: one change and the webhooks of it
  (`bookings.BookingChange`, `guests.GuestChange`, `waivers.Signing`, `redemptions.Redemption`,
  `notices.Notice`)
- `send`: any bytes as a webhook (`parcel.Parcel`)
- `subscriptions`, `permissions`, `products`, `venues`, `settings`, `clock`: how it is
  (`access.Permissions`, the others in `switches`)

and `DELETE /_sandbox/tokens`.
"""

from pipeline.sandbox.roller.app import roller_app

__all__ = ["roller_app"]
