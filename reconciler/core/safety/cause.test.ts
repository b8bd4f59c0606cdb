/** What the sessions of a burst share, and when that explains them. */
import { expect, test } from "bun:test";
import type { Node } from "../../../schema/node.ts";
import type { Cause } from "../../../schema/safety.ts";
import { agentOf, heldOf, HOUR_MS, instanceOf, nodeOf, sickOf } from "../../../test/world/part.ts";
import { attribute, explains, ruleKeyOf, valuesOf } from "./cause.ts";

const DAY_MS = 24 * HOUR_MS;
const AT = 100 * DAY_MS;
type Seen = Parameters<typeof attribute>[2];
const always: Seen = () => null;
/** Told apart by driver, agent and zone; the rule is the same unless told otherwise. */
const many = (count: number, make: (i: number) => Node) =>
  Array.from({ length: count }, (_, i) => make(i));
const place = (zone: string) => ({ instance: instanceOf({ zone }) });
const driver = (version: string) => ({ agent: agentOf({ driver_version: version }, "1") });
const opened = (nodes: readonly Node[], openedAt = AT) => nodes.map((node) => ({ node, openedAt }));
const newSince =
  (name: string, at: number): Seen =>
  (attribute) =>
    attribute === name ? at : null;
const onlyRule = (count: number) =>
  many(count, (i) => sickOf(`s${i}`, { instance: null, agent: null }));

test("valuesOf() is what a node has of each attribute", () => {
  const held = [
    heldOf({ rule: "a", version: "1" }),
    heldOf({ rule: "a", version: "1" }),
    heldOf({ rule: "b", version: null }),
    heldOf({ rule: "c", result: "degraded" }),
  ];
  const node = sickOf(
    "n",
    { ...place("z"), agent: agentOf({ driver_version: "550", labels: { rack: "r:1" } }, "0.9") },
    held,
  );
  expect(valuesOf(node, "rule")).toEqual(["a@1", "b@hash"]);
  expect(valuesOf(node, "agent")).toEqual(["0.9"]);
  expect(valuesOf(node, "driver")).toEqual(["550"]);
  expect(valuesOf(node, "provider")).toEqual(["fake"]);
  expect(valuesOf(node, "zone")).toEqual(["fake/z"]);
  expect(valuesOf(node, "rack")).toEqual(["r:1"]);
  const bare = nodeOf("n", { instance: null, agent: null });
  for (const name of ["rule", "agent", "driver", "provider", "zone", "rack"] as const)
    expect(valuesOf(bare, name)).toEqual([]);
  expect(valuesOf(nodeOf("n", { agent: agentOf() }), "driver")).toEqual([]);
});

test("explains() is true of a node that has the value", () => {
  const cause: Cause = { attribute: "zone", value: "fake/z", ofSessions: 1, ofNodes: 0 };
  expect(explains(cause, nodeOf("n", place("z")))).toBe(true);
  expect(explains(cause, nodeOf("n", place("y")))).toBe(false);
  expect(explains(null, nodeOf("n", place("z")))).toBe(false);
});

test("a zone explains a burst from three sessions on, if the rest is spared", () => {
  const rest = many(10, (i) => nodeOf(`w${i}`, place("y")));
  const burst = (count: number) => many(count, (i) => sickOf(`s${i}`, { ...place("z") }));
  const found = (count: number) =>
    attribute(opened(burst(count)), [...burst(count), ...rest], always);
  expect(found(2)).toBeNull();
  expect(found(3)).toEqual({
    attribute: "zone",
    value: "fake/z",
    ofSessions: 1,
    ofNodes: 3 / 13,
  });
});

test("a zone needs four fifths of the sessions", () => {
  const rest = many(20, (i) => nodeOf(`w${i}`, place("y")));
  const found = (inside: number, outside: number) => {
    const sick = [
      ...many(inside, (i) => sickOf(`s${i}`, { ...place("z") })),
      ...many(outside, (i) => sickOf(`t${i}`, { ...place(`x${i}`) })),
    ];
    return attribute(opened(sick), [...sick, ...rest], always);
  };
  expect(found(4, 1)).toMatchObject({ attribute: "zone", value: "fake/z", ofSessions: 0.8 });
  expect(found(7, 2)).toBeNull();
});

test("a zone in which half of the scope is explains nothing", () => {
  const found = (elsewhere: number) => {
    const sick = many(4, (i) => sickOf(`s${i}`, { ...place("z") }));
    return attribute(
      opened(sick),
      [...sick, ...many(elsewhere, (i) => nodeOf(`w${i}`, place("y")))],
      always,
    );
  };
  expect(found(4)).toBeNull();
  expect(found(5)).toMatchObject({ value: "fake/z", ofNodes: 4 / 9 });
});

test.each([
  [0, "driver"],
  [DAY_MS - 1, "driver"],
  [DAY_MS, null],
])("a driver that everybody has is a suspect %d ms after it came", (age, expected) => {
  const sick = many(3, (i) => sickOf(`s${i}`, { instance: null, ...driver("560") }));
  const rest = many(9, (i) => nodeOf(`w${i}`, { instance: null, ...driver("560") }));
  const found = attribute(opened(sick), [...sick, ...rest], newSince("driver", AT - age));
  expect<string | null>(found?.attribute ?? null).toBe(expected);
});

test("one session soon after it came is enough, where the rest came later", () => {
  const sick = many(5, (i) => sickOf(`s${i}`, { instance: null, ...driver("560") }));
  const times = [AT, AT + 2 * DAY_MS, AT + 2 * DAY_MS, AT + 2 * DAY_MS, AT + 2 * DAY_MS];
  const burst = sick.map((node, i) => ({ node, openedAt: times[i] ?? 0 }));
  expect(attribute(burst, sick, newSince("driver", AT))).toMatchObject({ value: "560" });
  expect(attribute(burst, sick, newSince("driver", AT + 1 - DAY_MS))).toMatchObject({
    value: "560",
  });
  expect(attribute(burst, sick, newSince("driver", AT - DAY_MS))).toBeNull();
});

test("what was sick before it came is not its doing", () => {
  const sick = many(5, (i) => sickOf(`s${i}`, { instance: null, ...driver("560") }));
  const found = (before: number) =>
    attribute(
      sick.map((node, i) => ({ node, openedAt: i < before ? AT - 1 : AT })),
      sick,
      newSince("driver", AT),
    );
  expect(found(1)).toMatchObject({ attribute: "driver", ofSessions: 1, ofNodes: 1 });
  expect(found(2)).toBeNull();
});

test("a rule is suspected only while it is new, and from four sessions on", () => {
  expect(attribute(opened(onlyRule(3)), onlyRule(3), newSince("rule", AT))).toBeNull();
  expect(attribute(opened(onlyRule(4)), onlyRule(4), newSince("rule", AT))).toEqual({
    attribute: "rule",
    value: "r@v1",
    ofSessions: 1,
    ofNodes: 1,
  });
  expect(attribute(opened(onlyRule(4)), onlyRule(4), always)).toBeNull();
  // The rest of the scope being spared says nothing for a rule: every sick node has one.
  const rest = many(50, (i) => nodeOf(`w${i}`, { instance: null, agent: null }));
  expect(attribute(opened(onlyRule(4)), [...onlyRule(4), ...rest], always)).toBeNull();
});

test("a rule must have condemned two in a hundred of a large scope", () => {
  const scope = (count: number) => [
    ...onlyRule(5),
    ...many(count - 5, (i) => nodeOf(`w${i}`, { instance: null, agent: null })),
  ];
  expect(attribute(opened(onlyRule(5)), scope(250), newSince("rule", AT))?.value).toBe("r@v1");
  expect(attribute(opened(onlyRule(5)), scope(251), newSince("rule", AT))).toBeNull();
});

test("a fault that is evident by itself says nothing about the rule", () => {
  const fallen = [heldOf({}, { code: 79 })];
  const sick = many(5, (i) => sickOf(`s${i}`, { instance: null, agent: null }, fallen));
  expect(attribute(opened(sick), sick, newSince("rule", AT))).toBeNull();
  const mixed = [...onlyRule(4), ...sick];
  expect(attribute(opened(mixed), mixed, newSince("rule", AT))).toMatchObject({
    attribute: "rule",
    ofSessions: 1,
    ofNodes: 1,
  });
});

test("the more specific of two causes is named", () => {
  const sick = many(4, (i) => sickOf(`s${i}`, { ...place("z"), ...driver("560") }));
  const rest = many(9, (i) => nodeOf(`w${i}`, { ...place("y"), ...driver("550") }));
  const found = (seenAt: Seen) => attribute(opened(sick), [...sick, ...rest], seenAt)?.attribute;
  expect(found(newSince("rule", AT))).toBe("rule");
  expect(found(always)).toBe("driver");
  const agents = sick.map((node) => ({ ...node, agent: agentOf({}, "2") }));
  expect(attribute(opened(agents), [...agents, ...rest], always)?.attribute).toBe("agent");
  const racks = sick.map((node) => ({ ...node, agent: agentOf({ labels: { rack: "r" } }, "1") }));
  expect(attribute(opened(racks), [...racks, ...rest], always)).toMatchObject({
    attribute: "rack",
    value: "r",
  });
});

test("nothing is found in nothing", () => {
  expect(attribute([], [], always)).toBeNull();
});

test("ruleKeyOf() names the version, and the policy where an older record has none", () => {
  expect(ruleKeyOf(heldOf().judgement)).toBe("r@v1");
  expect(ruleKeyOf(heldOf({ version: null }).judgement)).toBe("r@hash");
  expect(ruleKeyOf(heldOf({ version: undefined }).judgement)).toBe("r@hash");
});
