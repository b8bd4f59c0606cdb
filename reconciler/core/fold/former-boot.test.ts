/** Former boots of a node: which one returns, and which one never left. */
import { expect, test } from "bun:test";
import { LIMIT } from "../../../schema/limit.ts";
import type { BootId, StreamId } from "../../../schema/id.ts";
import type { AgentFact } from "../../../schema/node.ts";
import { agentOf } from "../../../test/world/part.ts";
import { formerSenders, isFirstReturn, isFormerBoot, isStreamBack } from "./former-boot.ts";

const agent = (bootId: string, former: string[]): AgentFact => ({
  ...agentOf(),
  bootId: bootId as BootId,
  formerBoots: former as BootId[],
});

test.each<[string, AgentFact | null, boolean[]]>([
  ["it has not reported yet", null, [false, false]],
  ["it is the only one", agent("b1", []), [false, false]],
  ["another one reports for the first time", agent("b2", []), [false, false]],
  ["it comes back after another one", agent("b2", ["b1"]), [true, true]],
  ["it comes back once more", agent("b2", ["b1", "b2"]), [true, false]],
  // It is known to have come back, and no other boot has reported since.
  ["it reports again after it came back", agent("b1", ["b2", "b1"]), [true, false]],
])("boot b1, where %s", (_name, before, [former = false, first = false]) => {
  expect(isFormerBoot(before, "b1")).toBe(former);
  expect(isFirstReturn(before, "b1")).toBe(first);
});

const inStream = (stream: string, former: string[]): AgentFact => ({
  ...agent("b", []),
  stream: stream as StreamId,
  formerStreams: former as StreamId[],
});

test.each<[string, AgentFact, boolean]>([
  ["it is the only one", inStream("s1", []), false],
  ["another one reports for the first time", inStream("s2", []), false],
  ["it comes back after another one", inStream("s2", ["s1"]), true],
  ["it comes back once more", inStream("s2", ["s1", "s2"]), false],
  ["it comes back under another boot", { ...inStream("s2", ["s1"]), bootId: "c" as BootId }, false],
])("isStreamBack() of s1, where %s", (_name, before, back) => {
  expect(isStreamBack(before, { bootId: "b", stream: "s1" })).toBe(back);
});

test("formerSenders() keeps the newest first, each once, and so many of them", () => {
  const of = (before: AgentFact | null, bootId: string) =>
    formerSenders(before, { bootId, stream: before?.stream ?? "s" }).formerBoots;
  expect(formerSenders(inStream("s2", ["s1"]), { bootId: "b", stream: "s1" })).toEqual({
    formerStreams: ["s2", "s1"] as StreamId[],
  });
  expect(of(null, "b1")).toBeUndefined();
  expect(of(agent("b1", []), "b1")).toBeUndefined();
  expect(of(agent("b1", ["b0"]), "b1")).toEqual(["b0"] as BootId[]);
  expect(of(agent("b2", ["b1", "b2"]), "b3")).toEqual(["b2", "b1"] as BootId[]);
  const many = Array.from({ length: LIMIT.formerBootsMax }, (_, i) => `old-${i}`);
  expect(of(agent("b", many), "c")).toEqual(["b", ...many.slice(0, -1)] as BootId[]);
});
