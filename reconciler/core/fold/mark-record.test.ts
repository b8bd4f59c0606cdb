import { describe, expect, test } from "bun:test";
import type { MarkDraft } from "../../../schema/audit.ts";
import type { Node } from "../../../schema/node.ts";
import type { Operation, Payload } from "../../../schema/operation.ts";
import { kubeOf, operationOf, sessionOf, sickOf, slurmOf } from "../../../test/world/part.ts";
import type { SlurmMark } from "../slurm/sink.ts";
import { mirrorChange, newMirror, UnitOfWork } from "../unit-of-work.ts";
import { foldOvertaken, settle } from "./settle.ts";
import type { Outcome } from "./outcome.ts";

const REASON = "navarch:n0.s1 XID48 XID 48 on GPU 0";
const slurm = { name: "n0", reason: REASON };
const cordon: Payload = { kind: "cordon", why: "XID 48", slurm };
const mirror: Payload = { kind: "cordon", why: "XID 48", mirror: true, slurm };
const only: Payload = { kind: "cordon", why: "XID 48", mirror: true, only: "slurm", slurm };
const release: Payload = { kind: "uncordon", why: "x", mirror: true, slurm: { name: "n0" } };
const own: SlurmMark = { kind: "ok", owner: "own", bootTime: 1_000 };
const done = (on: string | null = "uid-1") =>
  ({ kind: "done", instance: null, message: null, on }) as const;
const refused = (message: string) =>
  ({ kind: "refused", class: "scheduler", message, retryAfterMs: null }) as const;

class Stage {
  readonly rows: MarkDraft[] = [];
  readonly #mirror = newMirror();
  #now = 1_000_000;
  #last = 0;

  constructor(over: Partial<Node> = {}) {
    const session = sessionOf({ id: "n0.s1" as never, openedAt: 2 });
    const both = { kube: kubeOf({ name: "k0" }), slurm: slurmOf({ name: "n0" }) };
    this.#work((work) => work.putNode(sickOf("n0", { session, ...both, ...over })));
  }

  get node(): Node {
    return this.#mirror.nodes.get("n0" as never) as Node;
  }

  #work(edit: (work: UnitOfWork) => void): void {
    const work = new UnitOfWork(this.#mirror);
    edit(work);
    const change = work.finish();
    if (change === null) return;
    mirrorChange(this.#mirror, change);
    this.rows.push(...change.marks);
  }

  ask(payload: Payload, because: string[] = []): Operation {
    const id = `n0.${(this.#last += 1)}.mark` as Operation["id"];
    const askedAt = (this.#now += 1_000);
    const operation = operationOf(this.node, payload, { id, because, askedAt });
    this.#work((work) => {
      work.putOperation(operation);
      work.putNode({ ...this.node, operation: id });
    });
    return operation;
  }

  answer(operation: Operation, outcome: Outcome): void {
    this.#work((work) => settle((this.#now += 10), work, operation.id, outcome));
  }

  /** A list shows the drain before the answer does. */
  seesDrain(): void {
    const seen = { owner: "own", drain: true, reason: REASON, markedAt: this.#now } as const;
    this.#work((work) => work.putNode({ ...this.node, slurm: slurmOf({ name: "n0", ...seen }) }));
  }

  force(): void {
    const order = { goal: "terminate", force: true, by: "human:a", why: "now", at: 1 } as const;
    this.#work((work) => {
      const { nodes, operations, pools, facts } = this.#mirror;
      work.putNode({ ...this.node, order: order as never });
      foldOvertaken({ fleetId: "f", nodes, operations, pools, facts }, this.#now, work);
    });
  }

  said(): string[] {
    return this.rows.map(({ verb, path, code }) => `${verb} ${path} ${code}`);
  }
}

describe("A5: the audit rows of marks", () => {
  test("both marks of one operation are two rows of one repair, under every name", () => {
    const stage = new Stage();
    stage.answer(stage.ask(cordon), { ...done(), slurm: own });
    expect(stage.said()).toEqual(["cordon kubernetes/k0 ok", "drain slurm/n0 ok"]);
    for (const row of stage.rows) {
      expect(row).toMatchObject({ who: "reconciler", target: "n0", kind: "node", refused: false });
      expect(row.mark).toMatchObject({ repair: "n0.s1", names: ["k0", "n0"] });
    }
    expect(stage.rows[1]?.detail).toBe(REASON);
  });

  test("a list that shows the drain first takes no row away", () => {
    const stage = new Stage();
    const operation = stage.ask(cordon);
    stage.seesDrain();
    stage.answer(operation, { ...done(), slurm: own });
    expect(stage.said()).toEqual(["cordon kubernetes/k0 ok", "drain slurm/n0 ok"]);
  });

  test("a call that is repeated for Kubernetes has one row for Slurm", () => {
    const stage = new Stage();
    const operation = stage.ask(cordon);
    const lost = { kind: "ambiguous", message: "no answer" } as const;
    for (let i = 0; i < 5; i++) stage.answer(operation, { ...lost, slurm: own });
    stage.answer(operation, { ...done(), slurm: own });
    expect(stage.said()).toEqual(["drain slurm/n0 ok", "cordon kubernetes/k0 ok"]);
  });

  test("S29: a drain whose turn did not come asked nothing of Slurm, and is no row", () => {
    const stage = new Stage();
    stage.answer(stage.ask(only), { ...done(), slurm: { kind: "unsent", message: "not sent" } });
    expect(stage.said()).toEqual([]);
    stage.answer(stage.ask(only), { ...done(), slurm: own });
    expect(stage.said()).toEqual(["drain slurm/n0 ok"]);
  });

  test("S28: a mirrored mark that is refused a thousand times has few rows", () => {
    const stage = new Stage();
    for (let i = 0; i < 1_000; i++) {
      stage.answer(stage.ask(mirror), { ...refused("Forbidden"), slurm: own });
    }
    expect(stage.said().filter((row) => row === "drain slurm/n0 ok")).toHaveLength(1);
    const told = stage.rows.filter(({ mark }) => mark.sink === "kubernetes");
    expect(told.length).toBeLessThan(12);
    expect(told.every((row) => row.refused && row.code === "refused")).toBeTrue();
    const slow = new Stage();
    const denied = { kind: "refused", message: "Access denied" } as const;
    for (let i = 0; i < 1_000; i++) slow.answer(slow.ask(only), { ...done(), slurm: denied });
    expect(slow.rows.length).toBeLessThan(12);
    expect(new Set(slow.said())).toEqual(new Set(["drain slurm/n0 refused"]));
  });

  test("S28: a drain of others is a row that says so, and nothing was done", () => {
    const stage = new Stage();
    stage.answer(stage.ask(only), { ...done(), slurm: { ...own, owner: "foreign" } });
    expect(stage.rows).toMatchObject([{ verb: "drain", code: "foreign", refused: true }]);
  });

  test("an answer that does not come is unknown, not done", () => {
    const stage = new Stage();
    stage.answer(stage.ask(only), { kind: "ambiguous", message: "no answer within 10 s" });
    expect(stage.rows).toMatchObject([{ code: "unknown", refused: false }]);
    stage.ask(cordon);
    stage.force();
    expect(stage.rows).toHaveLength(1);
    stage.ask(only);
    stage.force();
    expect(stage.said().slice(1)).toEqual(["drain slurm/n0 unknown"]);
  });

  test("A9: a release's row has its conditions and the repair that its drain named", () => {
    const drained = slurmOf({ name: "n0", owner: "own", drain: true, reason: REASON, markedAt: 5 });
    const stage = new Stage({ session: null, slurm: drained });
    const operation = stage.ask(release, ["boot-changed", "health-passed"]);
    stage.answer(operation, { ...done(null), slurm: { ...own, owner: "none" } });
    expect(stage.said()).toEqual(["undrain slurm/n0 ok"]);
    expect(stage.rows[0]?.detail).toBe("boot-changed health-passed");
    expect(stage.rows[0]?.mark.repair).toBe("n0.s1");
  });

  test("without a scheduler there is no row", () => {
    const stage = new Stage({ kube: null, slurm: null });
    stage.answer(stage.ask({ kind: "cordon", why: "x" }), done(null));
    stage.answer(stage.ask({ kind: "uncordon", why: "x" }), done(null));
    expect(stage.rows).toEqual([]);
  });
});
