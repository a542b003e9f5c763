"""The optimum itself, of markets small enough: one variable per order and offer that fit, whole gangs, everybody's money.

HiGHS (through SciPy) and CP-SAT solve the same program, so that a mistake in one would show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ortools.sat.python import cp_model
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array, diags_array

from scripts.bench.baselines import Pairs
from scripts.bench.columns import NOBODY, Columns, Ints

OPTIMAL_GAP = 1e-4
"""So close to the best bound that it found itself a solver calls its answer the optimum."""
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Program:
    """Choose pairs that are worth the most. Every row of ``uses`` is something that runs out: an order, an offer's GPUs, an account's money,
    a delegate's budget."""

    orders: Ints
    offers: Ints
    worth: Ints
    uses: csr_array
    limits: Ints


def program_of(columns: Columns) -> Program:
    """The program of this market. Everybody pays the ask: so the money goes furthest."""
    orders, offers = _pairs(columns)
    gpus, one = columns.gpus[orders], np.ones_like(orders)
    locks = columns.locks(orders, columns.ask[offers])
    bonds = columns.bonds(offers, locks)
    first_offer = len(columns.gpus)
    first_account = first_offer + len(columns.free)
    first_budget = first_account + len(columns.balance)
    rows = [
        orders,
        first_offer + offers,
        first_account + columns.client[orders],
        first_account + columns.provider[offers],
        first_budget + np.maximum(columns.delegate[orders], 0),
    ]
    worst = np.where(columns.delegate[orders] == NOBODY, 0, columns.worst_costs(orders))
    used = [one, gpus, locks + columns.tip[orders], bonds, worst]
    column = np.tile(np.arange(len(orders)), len(rows))
    shape = (first_budget + len(columns.budget), len(orders))
    uses = csr_array((np.concatenate(used), (np.concatenate(rows), column)), shape=shape)
    limits = np.concatenate([np.ones_like(columns.gpus), columns.free, columns.balance, columns.budget])
    # What cannot run out need not be said.
    can_run_out = uses.sum(axis=1) > limits
    worth = gpus * (columns.limit[orders] - columns.ask[offers])
    return Program(orders, offers, worth, uses[can_run_out], limits[can_run_out])


def _pairs(columns: Columns) -> tuple[Ints, Ints]:
    """Every order with every offer that it could have alone."""
    fits = columns.accepts[columns.demand][:, columns.kind]
    fits &= columns.gpus[:, None] <= columns.free[None, :]
    fits &= columns.limit[:, None] > columns.ask[None, :]
    is_pinned = columns.pinned[:, None]
    fits &= (is_pinned == NOBODY) | (is_pinned == np.arange(len(columns.free))[None, :])
    orders, offers = np.nonzero(fits)
    return orders, offers


def relaxed(columns: Columns) -> float:
    """What the program is worth where orders may be split over offers: the bound once more, found without a flow."""
    program = program_of(columns)
    solved = linprog(-program.worth, A_ub=program.uses, b_ub=program.limits, bounds=(0, 1))
    return -float(solved.fun)


def by_mip(columns: Columns, seconds: float = 60.0) -> Pairs:
    """The best plan that HiGHS finds in so many seconds."""
    program = program_of(columns)
    if not len(program.worth):
        return Pairs(program.orders, program.offers)
    # Floats: every row and the objective are about one, whether they count GPUs or money.
    row_scale = 1.0 / np.maximum(1, program.limits)
    uses = diags_array(row_scale) @ program.uses
    found = milp(
        -program.worth / float(program.worth.max()),
        integrality=np.ones(len(program.worth)),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(uses, -np.inf, program.limits * row_scale),
        options={"time_limit": seconds, "mip_rel_gap": OPTIMAL_GAP},
    )
    return _chosen(program, np.zeros(len(program.worth)) if found.x is None else found.x)


def by_cp_sat(columns: Columns, seconds: float = 60.0) -> Pairs:
    """The best plan that CP-SAT finds in so many seconds."""
    program = program_of(columns)
    model = cp_model.CpModel()
    picks = [model.new_bool_var("") for _ in range(len(program.worth))]
    for row in range(program.uses.shape[0]):
        part = slice(*program.uses.indptr[row : row + 2])
        chosen, weights = [picks[n] for n in program.uses.indices[part]], program.uses.data[part].tolist()
        model.add(cp_model.LinearExpr.weighted_sum(chosen, weights) <= int(program.limits[row]))
    model.maximize(cp_model.LinearExpr.weighted_sum(picks, program.worth.tolist()))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = WORKERS
    solver.parameters.relative_gap_limit = OPTIMAL_GAP
    status = solver.solve(model)
    is_found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    return _chosen(program, np.array([float(is_found and solver.value(pick)) for pick in picks]))


def _chosen(program: Program, picks: NDArray[np.float64]) -> Pairs:
    chosen = picks > 0.5
    return Pairs(program.orders[chosen], program.offers[chosen])
