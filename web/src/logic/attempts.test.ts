import { expect, test } from "vitest";
import type { OrderTold } from "../api/kinds";
import { jobsOf, newestOf, workSaid, type WorkSaid } from "./attempts";

const id = (letter: string) => `0x${letter.repeat(64)}`;
const order = (letter: string, acceptedAt: number, client = "0xc") => ({ id: id(letter), acceptedAt, order: { client } }) as unknown as OrderTold;
const says = (...rows: [string, string, string][]) => new Map(rows.map(([of, name, previous]): [string, WorkSaid] => [id(of), { name, previous: previous && id(previous), isSealed: false }]));

test("orders that follow one another are one job, the newest job first, and every order is in one", () => {
  const jobs = jobsOf([order("d", 40), order("c", 30), order("b", 20), order("a", 10)], says(["c", "train", "b"], ["b", "train", "a"]));
  expect(jobs.map((one) => [one.name, one.orders.map((of) => of.id)])).toEqual([["", [id("d")]], ["train", [id("a"), id("b"), id("c")]]]);
  expect(newestOf(jobs[1]!).id).toBe(id("c"));
});

test("two orders that follow the same one are attempts of the same job", () => {
  expect(jobsOf([order("c", 30), order("b", 20), order("a", 10)], says(["c", "", "a"], ["b", "", "a"])).map((one) => one.orders.length)).toEqual([3]);
});

test("an order that is not here, is another client's, or leads round in a circle joins nothing to it and loses nothing", () => {
  expect(jobsOf([order("b", 20)], says(["b", "x", "a"]))).toMatchObject([{ name: "x", orders: [{ id: id("b") }] }]);
  expect(jobsOf([order("b", 20), order("a", 10, "0xother")], says(["b", "", "a"]))).toHaveLength(2);
  const circle = jobsOf([order("b", 20), order("a", 10)], says(["b", "", "a"], ["a", "", "b"]));
  expect(circle.flatMap((one) => one.orders)).toHaveLength(2);
});

test("a work's name is one harmless line, and what is no order's id follows nothing", () => {
  expect(workSaid({ name: "two\u202e\nlines", previous: id("a"), sealed: { recipient: "age1x" } })).toEqual({ name: "two\ufffd lines", previous: id("a"), isSealed: true });
  for (const odd of [undefined, null, 7, "x", [], { name: 7, previous: "0x12", sealed: "x" }, { previous: `${id("a")} ` }]) expect(workSaid(odd)).toEqual({ name: "", previous: "", isSealed: false });
});
