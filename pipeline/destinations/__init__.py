"""The places that bookings are told to; each folder is one."""
