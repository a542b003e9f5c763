"""From a snapshot of the market to a plan of fills. Pure: no clock, no network, no randomness, no float that decides.

What flows where, and the order in which to read it::

    documents      the snapshot: what a round may look at: the book, the offers, the money, as of one block; and how it is written down
       │ tables       rows as columns of integers, prices as ticks            (columns, ticks, facts)
       │ matching     checks → demands → pools: who could serve whom          (checks, demands, pools)
       │ auction      the offer of each order, and the price of each offer    (state, bidding, prices)
       │ funds        what orders may be asked for; a bill for a clearing     (funding, balances)
       │ placement    one clearing: auction, groups, overdue orders, regions  (clearing, groups, precedence)
       ▼
    clear          clears and bills, again while somebody is short; the best that is paid for is the plan
    documents      the plan: which order goes to which offer, at which price
    explain        why an order is where it is, worked out when somebody asks

Where money is short, placing, billing and learning who can pay what go round until all is paid for. ``gains`` says what a plan came to.

Each folder imports only those above it in this list, and ``arrays`` at the bottom; ``clear`` alone puts them together. Orders and offers are
*rows*: numbers into columns. A column is an array with one value for each row, such as the offer that each order is assigned to (NOWHERE
for none). Integers only, so that every machine comes to the same plan.
"""
