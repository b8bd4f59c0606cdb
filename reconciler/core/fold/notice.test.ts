/** The agent's word about the end of its machine: in which boot, for which instance, how long. */
import { expect, test } from "bun:test";
import type { BootId, InstanceId } from "../../../schema/id.ts";
import type { OwnedHost } from "../../../schema/claim.ts";
import type { AgentFact, InstanceFact, Node } from "../../../schema/node.ts";
import type { AgentNotice } from "../../../schema/report.ts";
import { agentOf, instanceOf, nodeOf } from "../../../test/world/part.ts";
import { preemptionOf } from "../decide/preempted.ts";
import { doubtOf, foldNotice, isAnnounced, noticeOf, tellsNotice } from "./notice.ts";

const NOW = Date.parse("2026-11-23T08:00:00Z");
const MINUTE_MS = 60_000;
const iso = (atMs: number | null) => (atMs === null ? null : new Date(atMs).toISOString());
const END = NOW + 2 * MINUTE_MS;

const notice = (
  atMs: number | null = END,
  kind: AgentNotice["kind"] = "preemption",
): AgentNotice => ({
  kind,
  at: iso(atMs),
  message: "m",
});
const told = (atMs: number | null, over: Partial<NonNullable<AgentFact["notice"]>> = {}) => {
  const instanceId = "i-n" as InstanceId;
  const word = { kind: "preemption" as const, atMs, message: "m", instanceId, ...over };
  return { agent: { ...agentOf(), notice: word } };
};
const listed = (atMs: number | null, kind: "preemption" | "maintenance" = "preemption") => ({
  instance: instanceOf({ id: "i-n" as InstanceId, notice: { kind, atMs, message: "listed" } }),
});
const fold = (node: Node, one: AgentNotice | undefined, bootId = "boot-1", now = NOW) =>
  foldNotice(node, { bootId, notice: one }, now).notice;

test.each([
  [null, null],
  [NOW, null],
  [NOW - 10 * MINUTE_MS, null],
  [NOW - 10 * MINUTE_MS - 1, "past"],
  [NOW + 60 * MINUTE_MS, null],
  [NOW + 60 * MINUTE_MS + 1, "future"],
  [Date.parse("0001-01-01T00:00:00Z"), "past"],
  [Date.parse("9999-12-31T23:59:59Z"), "future"],
])("doubtOf() an end at %p is %p", (atMs, doubt) => {
  expect(doubtOf(notice(atMs), NOW)).toBe(doubt as "past" | null);
});

test("an end before 1970 is never stored, whatever the clock shows", () => {
  expect(fold(nodeOf("n"), notice(-5), "boot-1", 3)).toBeUndefined();
});

test("foldNotice() keeps the first notice of a boot until it is over", () => {
  const node = nodeOf("n");
  const first = fold(node, notice());
  expect(first).toEqual(told(END).agent.notice);
  const knows = nodeOf("n", told(END));
  expect(fold(knows, notice(END + 5))).toEqual(first);
  expect(fold(knows, undefined)).toEqual(first);
  const late = END + 10 * MINUTE_MS + 1;
  expect(fold(knows, undefined, "boot-1", late)).toBeUndefined();
  expect(fold(knows, notice(END), "boot-1", late)).toBeUndefined();
  expect(fold(knows, notice(late), "boot-1", late)?.atMs).toBe(late);
  // A maintenance does not hide an end.
  const kept = nodeOf("n", told(END, { kind: "maintenance" }));
  expect(fold(kept, notice(END))?.kind).toBe("preemption");
  expect(fold(knows, notice(END, "maintenance"))?.kind).toBe("preemption");
});

test("a notice of another boot or of another instance does not act", () => {
  const knows = nodeOf("n", told(END));
  expect(fold(knows, undefined, "boot-2")).toBeUndefined();
  const former = { ...agentOf(), bootId: "boot-2" as BootId, formerBoots: ["boot-1" as BootId] };
  expect(fold(nodeOf("n", { agent: former }), notice())).toBeUndefined();
  const moved = { ...knows, instance: instanceOf({ id: "i-other" as InstanceId }) };
  expect(noticeOf(moved, NOW)).toBeNull();
  expect(fold(moved, notice())?.instanceId as string).toBe("i-other");
});

test("tellsNotice() is true until the notice is stored", () => {
  const report = { boot_id: "boot-1", notice: notice() };
  expect(tellsNotice(nodeOf("n"), report, NOW)).toBe(true);
  expect(tellsNotice(nodeOf("n", told(END)), report, NOW)).toBe(false);
  expect(tellsNotice(nodeOf("n"), { boot_id: "boot-1" }, NOW)).toBe(false);
  expect(tellsNotice(nodeOf("n"), { ...report, notice: notice(NOW + 1e9) }, NOW)).toBe(false);
});

test("noticeOf() takes the earlier end, and a preemption before a maintenance", () => {
  const both = (one: object, other: object) => noticeOf(nodeOf("n", { ...one, ...other }), NOW);
  expect(noticeOf(nodeOf("n"), NOW)).toBeNull();
  expect(both(listed(null), told(END))?.atMs).toBe(END);
  expect(both(listed(END), told(null))?.atMs).toBe(END);
  expect(both(listed(END + 1), told(END))?.atMs).toBe(END);
  expect(both(listed(END), told(END))?.message).toBe("listed");
  expect(both(listed(NOW, "maintenance"), told(END))?.kind).toBe("preemption");
  expect(both(listed(END), told(NOW, { kind: "maintenance" }))?.kind).toBe("preemption");
  expect(noticeOf(nodeOf("n", told(END)), END + 11 * MINUTE_MS)).toBeNull();
});

test("isAnnounced() is true once, whichever source tells first", () => {
  const [bare, byAgent, byBoth] = [{}, told(END), { ...told(END), ...listed(null) }];
  const is = (from: object, to: object) => isAnnounced(nodeOf("n", from), nodeOf("n", to), NOW);
  expect([is(bare, byAgent), is(byAgent, byAgent), is(byAgent, byBoth)]).toEqual([
    true,
    false,
    false,
  ]);
  expect([is(bare, bare), is(byAgent, bare)]).toEqual([false, false]);
});

test("preemptionOf() is null for a machine that nothing could replace", () => {
  const of = (instance: InstanceFact | null, id: InstanceId | null) =>
    preemptionOf({ ...nodeOf("n", told(END, { instanceId: id })), instance }, NOW);
  const own = instanceOf({ id: "i-n" as InstanceId });
  expect(of(own, own.id)?.atMs).toBe(END);
  expect(of({ ...own, host: { name: "h" } as OwnedHost }, own.id)).toBeNull();
  expect(of(null, null)).toBeNull();
  expect(
    noticeOf({ ...nodeOf("n", told(END, { instanceId: null })), instance: null }, NOW)?.atMs,
  ).toBe(END);
});
