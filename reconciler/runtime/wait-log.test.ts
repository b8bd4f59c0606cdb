/** What is logged of repairs that wait: once a reason, not once a plan. */
import { describe, expect, test } from "bun:test";
import { nodeId, poolName } from "../../test/fixture/plane/rows.ts";
import { kubeOf, sickOf } from "../../test/world/part.ts";
import type { Node } from "../../schema/node.ts";
import type { Wait } from "../core/plan.ts";
import type { WaitReason } from "../../schema/plan.ts";
import { WaitLog } from "./wait-log.ts";

const MIN = 60_000;

const setUp = (count = 1) => {
  const lines: [string, string, Record<string, unknown>][] = [];
  const waits = new WaitLog((level, msg, fields = {}) => void lines.push([level, msg, fields]));
  const nodes = new Map<Node["id"], Node>();
  for (let i = 1; i <= count; i++) {
    const node = sickOf(`n-${i}`, { kube: kubeOf({ name: `gpu-${i}` }) });
    nodes.set(node.id, node);
  }
  const seen = (now: number, ...found: Wait[]) => waits.look(found, { nodes }, now);
  /** Long enough to be worth a line. */
  const look = (now: number, ...found: Wait[]) => {
    seen(now, ...found);
    seen(now + 3_000, ...found);
  };
  return { lines, look, seen, nodes };
};

const waitOf = (reason: WaitReason, change: Partial<Wait> = {}): Wait => ({
  ...{ node: nodeId("n-1"), pool: poolName("p"), reason, until: null },
  why: { code: "work", work: `why ${reason}` },
  ...change,
});

describe("look()", () => {
  test("names the node, its Node object, the kind of wait, the reason and when it may end", () => {
    const { lines, look } = setUp();
    look(0, waitOf("budget", { until: 5 * MIN }));
    expect(lines).toMatchObject([
      [
        "warn",
        "repair waits",
        {
          ...{ wait: "budget", node: "n-1", kube_node: "gpu-1", pool: "p" },
          ...{ reason: "why budget", earliest: "1970-01-01T00:05:00.000Z" },
        },
      ],
    ]);
  });

  test("logs one reason once, another one at once, and the first again after half an hour", () => {
    const { lines, look } = setUp();
    for (let now = 0; now < 10 * MIN; now += 1_000) {
      look(now, waitOf("budget", { why: { code: "work", work: `${now} of 2 used` } }));
    }
    expect(lines).toHaveLength(1);
    look(10 * MIN, waitOf("breaker"));
    for (let now = 11 * MIN; now < 29 * MIN; now += MIN) {
      look(now, waitOf("budget"));
      look(now + MIN / 2, waitOf("breaker"));
    }
    expect(lines.map(([, , { wait }]) => wait)).toEqual(["budget", "breaker"]);
    look(31 * MIN, waitOf("budget"));
    expect(lines).toHaveLength(3);
  });

  test("says nothing of a wait that is over within seconds", () => {
    const { lines, seen } = setUp();
    seen(0, waitOf("blind"));
    seen(2_999, waitOf("blind"));
    seen(3_000);
    seen(60_000, waitOf("blind"));
    expect(lines).toEqual([]);
    seen(63_000, waitOf("blind"));
    expect(lines).toHaveLength(1);
  });

  test("logs a wait again that had ended long ago, and forgets it meanwhile", () => {
    const { lines, look } = setUp();
    look(0, waitOf("human"));
    look(MIN);
    look(2 * MIN, waitOf("human"));
    expect(lines).toHaveLength(1);
    look(40 * MIN);
    look(41 * MIN, waitOf("human"));
    expect(lines).toHaveLength(2);
  });

  test.each<[string, WaitReason]>([
    ["a step of the repair", "drain"],
    ["an open call", "operation"],
    ["an end that the cloud has to confirm", "confirmation"],
  ])("says nothing of %s", (_name, reason) => {
    const { lines, look } = setUp();
    look(0, waitOf(reason));
    expect(lines).toEqual([]);
  });

  test("says nothing of a node that is not under repair", () => {
    const { lines, look, nodes } = setUp();
    const [node] = nodes.values();
    if (node === undefined) throw new Error("there is a node");
    nodes.set(node.id, { ...node, session: null, phase: { kind: "serving", since: 0 } });
    look(0, waitOf("human"));
    expect(lines).toEqual([]);
  });

  test("logs a ceiling that keeps a pool from buying, and not the pool's other waits", () => {
    const { lines, look } = setUp();
    look(0, waitOf("spend", { node: null }), waitOf("human", { node: null }));
    expect(lines).toMatchObject([["warn", "pool waits", { wait: "spend", pool: "p" }]]);
    expect(Object.keys(lines[0]?.[2] ?? {})).not.toContain("node");
  });

  test("many that wait for the same are ten lines and a count", () => {
    const { lines, look } = setUp(500);
    const all = Array.from({ length: 500 }, (_, i) => {
      return waitOf("blind", {
        node: nodeId(`n-${i + 1}`),
        why: { code: "blind", why: ["all domains are dark"] },
      });
    });
    look(0, ...all);
    look(10_000, ...all);
    expect(lines).toHaveLength(11);
    const more = { wait: "blind", nodes: 490, reason: "all domains are dark" };
    expect(lines.at(-1)).toEqual(["warn", "more repairs wait for the same", more]);
  });
});
