"""Which offers could serve which orders, each pair by itself: demands, pools of like offers, and what could be had at a price."""
