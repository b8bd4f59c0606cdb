/**
 * Whatever people, machines and Slurm do in whatever order: no drain of others is written over or
 * lifted, and no changed machine is released before it registered.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { BootId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { Operation } from "../../../schema/operation.ts";
import { sightOf, slurmSightOf } from "../../../test/world/ask.ts";
import { agentOf, heldOf, nodeOf, operationOf, sessionOf } from "../../../test/world/part.ts";
import { slurmRowOf } from "../../../test/world/part.ts";
import { slurmChangeOf, unreleasedBy } from "../decide/slurm.ts";
import type { SlurmNode } from "../slurm/object.ts";
import { ownerOf } from "../slurm/owner.ts";
import { isDrained } from "../slurm/state.ts";
import type { SlurmMark } from "../slurm/sink.ts";
import { mirrorChange, newMirror, UnitOfWork } from "../unit-of-work.ts";
import { settle } from "./settle.ts";
import { foldSlurm } from "./slurm.ts";
import { sayCause } from "../say/cause.ts";

const STEPS = [
  ...["sick", "heal", "cordon", "uncordon", "alice drains", "alice undrains", "alice downs"],
  "alice resumes",
  ...["reboot", "register", "silent", "power down", "dark", "light", "answer is lost", "list"],
  "act",
] as const;
type Step = (typeof STEPS)[number];

/** What happens together often: alone it would be reached too seldom. */
const USUAL: readonly (readonly Step[])[] = [
  ["sick", "act", "list"],
  ["cordon", "act", "list"],
  ["heal", "list", "act"],
  ["uncordon", "list", "act"],
  ["list", "act"],
  ["power down", "list", "act", "list"],
  ["reboot", "heal", "uncordon", "list", "act"],
];
const STORY = fc
  .array(
    fc.oneof(
      fc.constantFrom(...STEPS).map((step): readonly Step[] => [step]),
      fc.constantFrom(...USUAL),
    ),
    { maxLength: 25 },
  )
  .map((parts): readonly Step[] => ["list", ...parts.flat()]);

class Story {
  row: SlurmNode = slurmRowOf();
  now = 1_000_000;
  boot = 1;
  isDark = false;
  losesAnswer = false;
  hasRegistered = true;
  reasserted = new Map<string, number>();
  readonly breaches: string[] = [];
  readonly #mirror = newMirror();

  constructor() {
    this.put(nodeOf("n0", { agent: { ...agentOf(), bootId: "boot-1" as BootId } }));
    this.edit((node) => ({ ...node, health: { ...node.health, verdict: "healthy" } }));
  }

  get node(): Node {
    return this.#mirror.nodes.get("n0" as never) as Node;
  }

  put(node: Node): void {
    this.work((work) => work.putNode(node));
  }

  edit(change: (node: Node) => Node): void {
    this.put(change(this.node));
  }

  work(edit: (work: UnitOfWork) => void): void {
    const work = new UnitOfWork(this.#mirror);
    edit(work);
    const change = work.finish();
    if (change === null) return;
    for (const { kind, message } of change.events) {
      if (kind !== "slurm.undrained" || !message.includes("set again")) continue;
      const session = this.node.session?.id ?? "none";
      this.reasserted.set(session, (this.reasserted.get(session) ?? 0) + 1);
    }
    mirrorChange(this.#mirror, change);
  }

  /** As `Marker`: the owner is read directly before the write. */
  call({ payload }: Operation): SlurmMark {
    const { row } = this;
    const answer = (): SlurmMark => {
      return { kind: "ok", owner: ownerOf(this.row), bootTime: this.row.bootTime };
    };
    if (this.isDark) return { kind: "refused", message: "away" };
    if (payload.kind === "cordon") {
      if (ownerOf(row) === "foreign") return answer();
      const flags = [...new Set([...row.flags, "DRAIN"])];
      this.row = { ...row, flags, reason: payload.slurm?.reason ?? null };
    }
    if (payload.kind === "uncordon") {
      if (ownerOf(row) !== "own") return answer();
      if (!this.hasRegistered) this.breaches.push("released before it registered");
      const flags = row.flags.filter((flag) => flag !== "DRAIN");
      const isDown = row.base === "DOWN" && payload.slurm?.down !== true;
      this.row = { ...row, flags, ...(isDown ? {} : { base: "IDLE", reason: null }) };
    }
    if (!this.losesAnswer) return answer();
    this.losesAnswer = false;
    return { kind: "ambiguous", message: "no answer" };
  }

  list(): void {
    if (this.isDark) return;
    const names = { aliases: {}, slots: new Map() };
    const news = { nodes: [this.row], names, onUndrain: "cancel", onForeignDrain: "hold" } as const;
    this.work((work) => void foldSlurm(news, [this.node.id], this.now, work));
  }

  act(): void {
    const slurm = slurmSightOf({ dark: this.isDark ? "away" : null });
    const sight = sightOf({ now: this.now, slurm });
    const change = slurmChangeOf(this.node, { sight, pool: null, candidates: new Set() });
    if (change === null) return;
    const because = change.because.map(sayCause);
    const operation = { ...operationOf(this.node, change.payload), because };
    operation.id = `n0.${this.node.fence + 1}.mirror` as Operation["id"];
    this.work((work) => {
      work.putOperation(operation);
      work.putNode({ ...this.node, operation: operation.id, fence: this.node.fence + 1 });
    });
    const mark = this.call(operation);
    const done = { kind: "done", instance: null, message: null, slurm: mark } as const;
    this.work((work) => settle(this.now, work, operation.id, done));
  }

  people(step: Step): void {
    const { row } = this;
    const drain = [...new Set([...row.flags, "DRAIN"])];
    const rest = row.flags.filter((flag) => flag !== "DRAIN");
    if (step === "alice drains") this.row = { ...row, flags: drain, reason: "maint by alice" };
    const reason = row.base === "DOWN" ? row.reason : null;
    if (step === "alice undrains") this.row = { ...row, flags: rest, reason };
    const up = { base: "IDLE", flags: rest, reason: null };
    if (step === "alice resumes") this.row = { ...row, ...up };
    if (step === "alice downs") this.row = { ...row, base: "DOWN", reason: "broken (alice)" };
  }

  machine(step: Step): void {
    const { row } = this;
    const rest = row.flags.filter((flag) => flag !== "NOT_RESPONDING");
    if (step === "reboot") {
      this.boot += 1;
      this.hasRegistered = false;
      const bootId = `boot-${this.boot}` as BootId;
      const agent = { ...agentOf(), bootId };
      this.edit((node) => ({ ...node, agent, rebootedAt: this.now }));
    }
    // A machine that reboots undrained registers before anything is found on it.
    const isDrainless = step === "reboot" && this.node.slurm?.owner !== "own";
    if (step === "register" || isDrainless) {
      // A registration from a new boot sets DOWN; the reason of a drain stays.
      const bootTime = this.hasRegistered ? row.bootTime : this.now;
      const base = this.hasRegistered ? row.base : "DOWN";
      const flags = rest.filter((flag) => flag !== "POWERED_DOWN");
      this.row = { ...row, base, bootTime, flags, reason: row.reason ?? "unexpectedly rebooted" };
      this.hasRegistered = true;
    }
    if (step === "silent") this.row = { ...row, flags: [...rest, "NOT_RESPONDING"] };
    if (step === "power down") {
      const kept = row.flags.filter((flag) => flag !== "DRAIN" && flag !== "POWERED_DOWN");
      this.row = { ...row, flags: [...kept, "POWERED_DOWN"] };
    }
  }

  repair(step: Step): void {
    const at = this.now;
    const verdict = (to: "healthy" | "unhealthy") => (node: Node) => {
      const held = to === "unhealthy" ? [heldOf({ definitive: true })] : [];
      return { ...node, health: { ...node.health, verdict: to, held, lastCheckAt: at } };
    };
    if (step === "sick" && this.node.session === null && this.node.waiver === null) {
      const session = sessionOf({ id: `n0.s${at}` as never, openedAt: at });
      const product = { by: "navarch", why: "XID 48", at };
      const phase = { kind: "suspect", since: at } as const;
      this.edit((node) => ({ ...verdict("unhealthy")(node), session, phase }));
      this.edit((node) => ({ ...node, cordon: { ...node.cordon, product } }));
    }
    if (step === "heal") {
      const phase = { kind: "serving", since: at } as const;
      this.edit((node) => ({ ...verdict("healthy")(node), session: null, phase, waiver: null }));
      this.edit((node) => ({ ...node, cordon: { ...node.cordon, product: null } }));
    }
    const human = step === "cordon" ? { by: "human:bob", why: "look", at } : null;
    if (step === "cordon" || step === "uncordon") {
      this.edit((node) => ({ ...node, cordon: { ...node.cordon, human } }));
    }
  }

  step(step: Step): void {
    this.now += 120_000;
    const before = this.row;
    if (step === "list") this.list();
    else if (step === "act") this.act();
    else if (step === "dark" || step === "light") this.isDark = step === "dark";
    else if (step === "answer is lost") this.losesAnswer = true;
    const isOurs = step === "act";
    this.people(step);
    this.machine(step);
    this.repair(step);
    if (isOurs && ownerOf(before) === "foreign" && before !== this.row) {
      this.breaches.push(`touched what others hold: ${before.reason} became ${this.row.reason}`);
    }
    for (const [session, count] of this.reasserted) {
      if (count > 1) this.breaches.push(`${session}: set again ${count} times`);
    }
  }
}

test("S28, S33, S34, S35: no order of events breaks the rules of ownership", () => {
  fc.assert(
    fc.property(STORY, (all) => {
      const story = new Story();
      for (const step of all) story.step(step);
      expect(story.breaches).toEqual([]);
    }),
    { numRuns: 3_000 },
  );
});

test("S29, S35: once all is well and answers, nothing stays drained that is Navarch's", () => {
  fc.assert(
    fc.property(STORY, (all) => {
      const story = new Story();
      for (const step of all) story.step(step);
      for (const step of ["light", "uncordon", "heal", "register"] as const) story.step(step);
      for (let i = 0; i < 6; i++) {
        story.step("list");
        story.step("act");
      }
      story.list();
      const { row, node } = story;
      const sight = sightOf({ now: story.now, slurm: slurmSightOf() });
      const isStuck = ownerOf(row) === "own" && isDrained(row);
      expect(isStuck ? (unreleasedBy(node, { sight }) ?? "stuck") : null).toBeNull();
    }),
    { numRuns: 3_000 },
  );
});
