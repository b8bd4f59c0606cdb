/** Which line each event becomes, who is named on it, and how many there may be. */
import { describe, expect, test } from "bun:test";
import { nodeId, nodeOf, poolName } from "../../test/fixture/plane/rows.ts";
import { kubeOf } from "../../test/world/part.ts";
import { EVENT_KINDS, type EventDraft, type EventKind } from "../../schema/event.ts";
import type { Node } from "../../schema/node.ts";
import { emptyChange } from "../core/store.ts";
import { traceIdOf } from "../core/trace.ts";
import { Story } from "./story.ts";

type Line = { level: string; msg: string; fields: Record<string, unknown> };

const setUp = (known: Node[] = []) => {
  const lines: Line[] = [];
  const clock = { mono: 0, monoMs: () => clock.mono };
  const story = new Story({
    clock,
    log: (level, msg, fields = {}) => void lines.push({ level, msg, fields }),
    node: (id) => known.find((one) => one.id === id),
  });
  const tell = (events: EventDraft[], nodes: Node[] = []) =>
    story.change({ ...emptyChange(), events, nodes });
  return { lines, clock, tell };
};

const eventOf = (kind: EventKind, change: Partial<EventDraft> = {}): EventDraft => ({
  ...{ at: 1, kind, node: nodeId("n-1"), pool: poolName("p"), session: null },
  ...{ actor: "navarch", message: `why ${kind}`, ...change },
});

const gone: Node["phase"] = { kind: "gone", since: 1, purpose: "replace" };

const drainingOf = (sawWork: boolean): Node["phase"] => ({
  ...{ kind: "draining", since: 1, deadlineAt: 0, drainedAt: null, sawWork, purpose: "replace" },
});

describe("change()", () => {
  test("names the node, its Node object and the reason, under one key each", () => {
    const { lines, tell } = setUp([nodeOf("n-1", { kube: kubeOf({ name: "gpu-7" }) })]);
    tell([eventOf("node.cordoned", { session: "s1" as EventDraft["session"] })]);
    expect(lines).toEqual([
      {
        level: "info",
        msg: "node cordoned",
        fields: {
          ...{ event: "node.cordoned", node: "n-1", kube_node: "gpu-7", pool: "p", session: "s1" },
          trace_id: traceIdOf("s1"),
          reason: "why node.cordoned",
        },
      },
    ]);
  });

  test("takes the name from the change before what was known earlier; without one it is null", () => {
    const { lines, tell } = setUp([nodeOf("n-1"), nodeOf("n-2")]);
    tell([eventOf("kube.matched")], [nodeOf("n-1", { kube: kubeOf({ name: "gpu-7" }) })]);
    tell([eventOf("node.registered", { node: nodeId("n-2") })]);
    expect(lines.map(({ fields }) => fields["kube_node"])).toEqual(["gpu-7", null]);
  });

  test("names the person who did it, and no node where it is about none", () => {
    const { lines, tell } = setUp();
    tell([eventOf("pool.size", { node: null, actor: "human:ann" })]);
    expect(lines[0]?.fields).toEqual({
      ...{ event: "pool.size", pool: "p", actor: "human:ann", reason: "why pool.size" },
    });
  });

  test.each<[string, EventDraft, Node["phase"] | null, string, string]>([
    ["an empty node", eventOf("node.drained", { emptied: true }), null, "info", "drain ended"],
    ["work that is cut off", eventOf("node.drained"), null, "warn", "drain incomplete"],
    ["a drain", eventOf("node.draining"), drainingOf(false), "info", "drain started"],
    ["its work", eventOf("node.draining"), drainingOf(true), "info", "drain in progress"],
    ["our own uncordon", eventOf("kube.uncordoned"), null, "info", "Node uncordoned in Kubernetes"],
    [
      "a person's uncordon",
      eventOf("kube.uncordoned", { actor: "human" }),
      ...([null, "warn", "Node uncordoned by hand"] as const),
    ],
    [
      "a person's cordon",
      eventOf("kube.cordoned", { actor: "human" }),
      ...([null, "info", "Node cordoned by hand"] as const),
    ],
    ["a deleted Node", eventOf("kube.lost"), null, "warn", "Node object deleted"],
    ["a Node whose machine is gone", eventOf("kube.lost"), gone, "info", "Node object removed"],
    ["a refused cordon", eventOf("kube.refused"), null, "error", "Kubernetes refused"],
  ])("%s", (_name, event, phase, level, msg) => {
    const node = nodeOf("n-1", phase === null ? {} : { phase });
    const { lines, tell } = setUp([node]);
    tell([event]);
    expect(lines).toMatchObject([{ level, msg }]);
  });

  test.each([
    ["permission", "deploy/11-role.yaml"],
    ["admission", "account pass it"],
    ["other", undefined],
    // A node of an older release.
    [undefined, undefined],
  ] as const)("says what ends a refusal by its cause: %s", (cause, advice) => {
    // The words of a cluster are no cause: they may say anything.
    const message = "Kubernetes does not cordon Node n: forbidden: alice may not patch nodes";
    const refusal = { what: "cordon", message, since: 0, at: 0, ...(cause && { cause }) };
    const { lines, tell } = setUp([nodeOf("n-1", { kube: kubeOf({ refusal }) })]);
    tell([eventOf("kube.refused", { message })]);
    const said = lines[0]?.fields["advice"];
    if (advice === undefined) expect(said).toBeUndefined();
    else expect(String(said)).toContain(advice);
  });

  test("logs a verdict once: the phase that follows from it repeats its sentence", () => {
    const { lines, tell } = setUp();
    const message = "XID 79: GPU has fallen off the bus";
    const verdict = eventOf("node.unhealthy", { message });
    tell([verdict, eventOf("node.suspect", { message })]);
    tell([eventOf("node.suspect", { message: "still unhealthy after its reboot" })]);
    tell([verdict, eventOf("node.suspect", { message, node: nodeId("n-2") })]);
    expect(lines.map(({ fields }) => fields["event"])).toEqual([
      "node.unhealthy",
      "node.suspect",
      "node.unhealthy",
      "node.suspect",
    ]);
  });

  test("logs each kind of event but rows set aside, which the store's reader logs", () => {
    const { lines, tell } = setUp();
    tell(EVENT_KINDS.map((kind, i) => eventOf(kind, { node: nodeId(`n-${i}`) })));
    const said = lines.map(({ fields }) => fields["event"]);
    const silent = EVENT_KINDS.filter((one) => !said.includes(one));
    expect(silent).toEqual(["store.quarantined"]);
    expect(new Set(lines.map(({ msg }) => msg)).size).toBe(lines.length);
  });

  test("a flood of one node's events ends after some lines and hides no other node", () => {
    const { lines, clock, tell } = setUp([nodeOf("n-1", { kube: kubeOf({ name: "gpu-7" }) })]);
    for (let i = 0; i < 5_000; i++) {
      clock.mono += 10;
      tell([eventOf("node.registered", { message: `again ${i}` })]);
    }
    expect(lines.length).toBeLessThan(60);
    const told = lines.filter(({ msg }) => msg === "events come faster than they are logged");
    expect(told[0]).toMatchObject({ level: "warn", fields: { node: "n-1", kube_node: "gpu-7" } });
    const before = lines.length;
    tell([eventOf("kube.refused")]);
    tell([eventOf("node.cordoned", { node: nodeId("n-2") })]);
    const after = lines.slice(before).map(({ msg }) => msg);
    expect(after).toEqual(["Kubernetes refused", "node cordoned"]);
  });
});
