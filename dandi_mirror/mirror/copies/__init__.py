"""Which mirrors hold a copy of which content; hold a share of it, prove what others hold, restore from them."""
