import { describe, expect, test } from "bun:test";
import type { HeldFinding } from "../../../schema/held.ts";
import type { Node } from "../../../schema/node.ts";
import { agentOf, heldOf, nodeOf, sessionOf } from "../../../test/world/part.ts";
import { discredit } from "./rejudge.ts";

const NOW = 9_000;
const BAD = new Set(["1.0"]);
const said = (by: string | null, code = 48, more: Partial<HeldFinding> = {}): HeldFinding =>
  heldOf({}, { code }, { key: `xid/${code}/${by ?? ""}`, agent: by, ...more });

function node(held: HeldFinding[], more: Partial<Node["health"]> = {}): Node {
  const made = nodeOf("n", { agent: agentOf({}, "2.0"), session: sessionOf() });
  const health = { ...made.health, held, verdict: "unhealthy", unhealthyRun: 3, ...more } as const;
  return { ...made, health };
}

const left = (one: Node, agents: ReadonlySet<string> = BAD) =>
  discredit(one, agents, NOW)?.node.health;

describe("discredit()", () => {
  test("lets go of what a discredited version said, once another one speaks", () => {
    const one = node([said("1.0"), said("1.5")]);
    expect(left(one)).toEqual({ ...one.health, held: [said("1.5")] });
  });

  test.each<[string, Node, ReadonlySet<string>]>([
    ["no version is discredited", node([said("1.0")]), new Set()],
    ["the node has no agent", { ...node([said("1.0")]), agent: null }, BAD],
    ["nothing is held", node([]), BAD],
    ["the same version still speaks", { ...node([said("1.0")]), agent: agentOf({}, "1.0") }, BAD],
    ["another version said it", node([said("1.5")]), BAD],
    ["nobody knows who said it", node([said(null)]), BAD],
    ["an old document does not name who said it", node([heldOf()]), BAD],
    ["it needs no second opinion: off the bus", node([said("1.0", 79)]), BAD],
    ["it needs no second opinion: uncontained memory error", node([said("1.0", 95)]), BAD],
  ])("changes nothing where %s", (_what, one, agents) => {
    expect(discredit(one, agents, NOW)).toBeNull();
  });

  test("says which verdict follows, and why", () => {
    const one = node([said("1.0")], { lastCheckAt: 4 });
    expect(left(one)).toEqual({ ...one.health, held: [], verdict: "healthy", unhealthyRun: 0 });
    expect(discredit(one, BAD, NOW)?.events).toEqual([
      {
        at: NOW,
        kind: "node.health",
        node: one.id,
        pool: one.pool,
        session: sessionOf().id,
        actor: "navarch",
        message:
          "from an agent version linked to a burst: unhealthy → healthy: no evidence is held",
      },
    ]);
  });

  test("knows nothing of a node that no check has looked at", () => {
    expect(left(node([said("1.0")]))).toMatchObject({ verdict: "unknown", unhealthyRun: 0 });
  });

  test("takes the verdict of what is left", () => {
    const mild = said("1.5", 63, { judgement: heldOf({ result: "degraded" }).judgement });
    expect(left(node([said("1.0"), mild]))).toMatchObject({
      verdict: "degraded",
      unhealthyRun: 0,
    });
    const bad = left(node([said("1.0"), said("1.5")]));
    expect(bad).toMatchObject({ verdict: "unhealthy", unhealthyRun: 3 });
  });

  test("keeps counting a node that is silent besides", () => {
    const silent = left(node([said("1.0")], { silentSince: 5, lastCheckAt: 4 }));
    expect(silent).toMatchObject({ verdict: "healthy", unhealthyRun: 3 });
  });
});
