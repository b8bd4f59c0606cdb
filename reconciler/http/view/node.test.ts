import { describe, expect, test } from "bun:test";
import type { NodeId } from "../../../schema/id.ts";
import type { Node, Phase } from "../../../schema/node.ts";
import { newNode } from "../../core/fold/new-node.ts";
import { instanceOf } from "../../../test/world/part.ts";
import { viewInstance, viewNode } from "./node.ts";

const BORN = newNode({
  id: "n" as NodeId,
  pool: null,
  slot: null,
  gen: 1,
  at: 0,
  replaces: null,
});
const GONE = "/k cannot be read";
const failed = { attempts: 1, doneAt: null, error: "exit 7", final: false, hostKey: null };

function reasons(phase: Phase, bootstrap: Node["bootstrap"], unready: string | null): string[] {
  const seen = { heardAt: null, labels: {}, threshold: 1, stays: null, slurm: null };
  const from = { ...seen, unready, isKubeDark: false, worker: null };
  return viewNode({ ...BORN, phase, bootstrap }, from).reasons;
}

describe("viewNode().reasons", () => {
  const coming: Phase = { kind: "bootstrapping", since: 0, attempt: 1 };
  const ended: Phase = { kind: "gone", since: 0, purpose: "failed" };

  test("say what is in the way of a node that is coming", () => {
    expect(reasons(coming, null, null)).toEqual([]);
    expect(reasons(coming, failed, null)).toEqual(["set-up: exit 7"]);
    const both = [`cannot be set up: ${GONE}`, "set-up: exit 7"];
    expect(reasons(coming, failed, GONE)).toEqual(both);
    // Said once, where the set-up found out by itself.
    const found = { ...failed, error: GONE };
    expect(reasons(coming, found, GONE)).toEqual([`cannot be set up: ${GONE}`]);
  });

  test("say why a node was given up, and nothing of one that serves", () => {
    expect(reasons(ended, failed, GONE)).toEqual(["set-up: exit 7"]);
    expect(reasons({ kind: "gone", since: 0, purpose: "operator" }, failed, null)).toEqual([]);
    expect(reasons({ kind: "serving", since: 0 }, failed, GONE)).toEqual([]);
  });
});

test("viewInstance() tells the age of the machine, not of the request for it", () => {
  const instance = instanceOf({ boundAt: 7_200_000 });
  const bought = viewInstance({ ...BORN, instance });
  expect(bought?.created_at).toBe("1970-01-01T02:00:00.000Z");
  const phase = { kind: "requested", since: 0, refusal: null, notBefore: 0 } as Node["phase"];
  expect(viewInstance({ ...BORN, phase })?.created_at).toBe("1970-01-01T00:00:00.000Z");
});
