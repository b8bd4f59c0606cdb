/** Former boots of a node: which one returns, and which one never left. */
import { expect, test } from "bun:test";
import { LIMIT } from "../../../schema/limit.ts";
import type { BootId, StreamId } from "../../../schema/id.ts";
import type { AgentFact } from "../../../schema/node.ts";
import { agentOf } from "../../../test/world/part.ts";
import {
  formerSenders,
  isFirstReturn,
  isFormerBoot,
  isShared,
  isStreamBack,
} from "./former-boot.ts";

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
    formerSenders(before, { bootId, stream: before?.stream ?? "s" }, 7).formerBoots;
  expect(formerSenders(inStream("s2", ["s1"]), { bootId: "b", stream: "s1" }, 7)).toEqual({
    formerStreams: ["s2", "s1"] as StreamId[],
    sharedAt: 7,
  });
  expect(of(null, "b1")).toBeUndefined();
  expect(of(agent("b1", []), "b1")).toBeUndefined();
  expect(of(agent("b1", ["b0"]), "b1")).toEqual(["b0"] as BootId[]);
  expect(of(agent("b2", ["b1", "b2"]), "b3")).toEqual(["b2", "b1"] as BootId[]);
  const many = Array.from({ length: LIMIT.formerBootsMax }, (_, i) => `old-${i}`);
  expect(of(agent("b", many), "c")).toEqual(["b", ...many.slice(0, -1)] as BootId[]);
});

test.each<[string, AgentFact, string, string, number | undefined]>([
  ["the same again", inStream("s2", ["s1", "s2"]), "b", "s2", undefined],
  ["a new stream", inStream("s2", ["s1"]), "b", "s3", undefined],
  ["a former stream", inStream("s2", ["s1", "s2"]), "b", "s1", 7],
  ["a new boot", agent("b2", ["b1"]), "b3", "s", undefined],
  ["a former boot", agent("b2", ["b1", "b2"]), "b1", "s", 7],
  ["a new boot after that", { ...agent("b2", ["b1", "b2"]), sharedAt: 3 }, "b3", "s", 3],
])("sharedAt after %s", (_name, before, bootId, stream, expected) => {
  expect(formerSenders(before, { bootId, stream }, 7).sharedAt).toBe(expected);
});

test("isShared() until the credential is a later one, or for a day", () => {
  const day = 24 * 3_600_000;
  const shared = { ...agent("b", []), sharedAt: 100 };
  expect(isShared(null, 0, 100)).toBe(false);
  expect(isShared(agent("b", []), 0, 100)).toBe(false);
  expect(isShared(shared, 100, 100)).toBe(true);
  expect(isShared(shared, 101, 102)).toBe(false);
  expect(isShared(shared, 0, 100 + day - 1)).toBe(true);
  expect(isShared(shared, 0, 100 + day)).toBe(false);
});
