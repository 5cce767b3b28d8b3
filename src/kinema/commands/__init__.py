"""The commands of `kinema`, one module each: settings, a function, and what it prints. No command imports another."""
