"""The places where bookings come from; each folder is one."""
