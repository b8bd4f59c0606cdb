/**
 * One repair of a node in both schedulers with deaths of its control plane: an XID 79 under a real
 * job and a pod. What must hold at the end is judged by slurmctld's own log, the job, the Node
 * objects, the API server's audit log and the cloud's journal.
 *
 * Adapter: files, clock.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseReason } from "../../../../reconciler/core/slurm/reason.ts";
import type { NodeView } from "../../../../schema/api.ts";
import { until } from "../../../fixture/plane/plane.ts";
import { FOREIGN, type Lane, tail } from "./lane.ts";
import type { Death, Passed } from "./order.ts";

/** What else happens between a death and the next life. */
export type Meanwhile = "nothing" | "person" | "controller" | "job";

export type Told = {
  wrongs: string[];
  deaths: Passed[];
  points: Passed[];
  seconds: number;
};

const DEAD_MS = 300;
const LOOK_MS = 150;
/** From the sight of both marks to the end of the job. */
const JOB_MS = 2_500;
const ROUND_MS_MAX = 120_000;
const QUIET_MS = 1_000;
/** slurmctld, after the next life has begun. */
const AWAY_MS = 3_000;
/** A person's, on the sick machine itself, set while the control plane is dead. */
const BY_BOB = "disk swap by bob";

type Sample = { slurm: Set<string>; kube: Set<string>; isCordoned: boolean };

export class Story {
  readonly lane: Lane;
  readonly round: number;
  readonly meanwhile: Meanwhile;
  readonly wrongs: string[] = [];
  private readonly sample: Sample = { slurm: new Set(), kube: new Set(), isCordoned: false };
  private readonly go: string;
  private readonly end: string;
  private job = "";
  private sick = { node: "", object: "", instance: "" };
  private next: string | null = null;
  private markedMs: number | null = null;
  private isGone = false;
  private isBooted = false;
  private isBobs = false;
  private isDone = false;

  constructor(lane: Lane, round: number, meanwhile: Meanwhile) {
    this.lane = lane;
    this.round = round;
    this.meanwhile = meanwhile;
    this.go = join(lane.folder, `go-${round}`);
    this.end = join(lane.folder, `end-${round}`);
  }

  private get pod(): string {
    return `${this.lane.label}-${this.round}`;
  }

  async live(deaths: readonly Death[]): Promise<Told> {
    const { lane, round } = this;
    const startMs = performance.now();
    const node = await this.begin();
    const log = tail(lane.slurm.room.logPath("slurmctld"));
    const audit = tail(join(lane.cluster.folder, "audit.log"));
    const skip = lane.cloud().length;
    await lane.loseGpu(node.node_id);
    lane.orders.give({ round, deaths });
    const machines = this.keepMachines();
    try {
      await this.untilOver();
    } finally {
      this.isDone = true;
      await machines;
      lane.orders.give({ round: -round, deaths: [] });
    }
    await this.judge(log(), audit(), skip);
    await lane.sweep(this.pod, this.sick.object);
    return {
      wrongs: this.wrongs,
      deaths: lane.orders.deaths(round),
      points: lane.orders.points(round),
      seconds: (performance.now() - startMs) / 1_000,
    };
  }

  /** At rest, with a job and a pod on the machine that will fall. */
  private async begin(): Promise<NodeView> {
    const { lane } = this;
    const node = await until("the lane is at rest", ROUND_MS_MAX, async () => {
      const one = await lane.occupant();
      const state = await lane.slurm.state(lane.sick);
      return one?.phase === "serving" && one.kubernetes_node !== null && state === "idle"
        ? one
        : null;
    });
    const instance = node.instance?.id ?? "";
    this.sick = { node: node.node_id, object: node.kubernetes_node ?? "", instance };
    const script = `while [ ! -e ${this.go} ]; do sleep 0.1; done; date +%s.%N >${this.end}`;
    this.job = await lane.slurm.sbatch(["-w", lane.sick, "--gres=gpu:8"], script);
    await lane.slurm.waitJob(this.job, "RUNNING");
    await lane.startPod(this.pod, this.sick.object);
    return node;
  }

  private async untilOver(): Promise<void> {
    const limit = performance.now() + ROUND_MS_MAX;
    for (;;) {
      await this.revive();
      await this.look();
      const { markedMs } = this;
      if (markedMs !== null && performance.now() - markedMs > JOB_MS) writeFileSync(this.go, "");
      if (await this.isOver()) break;
      if (performance.now() > limit) {
        this.wrongs.push(`never over: ${await this.said()}`);
        return;
      }
      await Bun.sleep(LOOK_MS);
    }
    await Bun.sleep(QUIET_MS);
    await this.revive();
  }

  /** Machines end and boot whatever else is dead. */
  private async keepMachines(): Promise<void> {
    while (!this.isDone) {
      await this.machines();
      await Bun.sleep(LOOK_MS);
    }
  }

  /** A control plane that died is started again, after what happens meanwhile. */
  private async revive(): Promise<void> {
    const { lane, meanwhile } = this;
    if (lane.joined.plane.isAlive) return;
    await lane.joined.plane.kill();
    await Bun.sleep(DEAD_MS);
    if (meanwhile === "person" && !this.isBobs) {
      this.isBobs = true;
      await lane.slurm.scontrol(
        ...["update", `nodename=${lane.sick}`, "state=drain", `reason=${BY_BOB}`],
      );
    }
    if (meanwhile === "job") await this.endJob();
    if (meanwhile === "controller") await lane.slurm.stopController();
    await lane.joined.plane.start();
    if (meanwhile !== "controller") return;
    await Bun.sleep(AWAY_MS);
    await lane.slurm.startController();
  }

  private async endJob(): Promise<void> {
    writeFileSync(this.go, "");
    await until("the job ends", ROUND_MS_MAX, () => existsSync(this.end) || null);
  }

  private async look(): Promise<void> {
    const { lane, sample } = this;
    const row = await lane.slurm.node(lane.sick);
    const reason = reasonOf(row);
    const own = parseReason(reason);
    if (own !== null) sample.slurm.add(own.session);
    const object = await lane.joined.node(this.sick.object);
    const session = object?.metadata.annotations?.["navarch.dev/session"];
    if (session !== undefined) sample.kube.add(session);
    if (object?.spec.unschedulable === true) sample.isCordoned = true;
    const isDrained = /DRAIN/.test(row?.["State"] ?? "");
    if (isDrained && sample.isCordoned) this.markedMs ??= performance.now();
  }

  /** slurmd and its jobs end with their machine, and the next machine boots. */
  private async machines(): Promise<void> {
    const { lane, sick } = this;
    const { live } = lane.joined.plane.reality();
    if (!this.isGone && !live.some(({ id }) => id === sick.instance)) {
      this.isGone = true;
      await lane.slurm.killNode(lane.sick);
    }
    if (!this.isGone || this.isBooted || !lane.joined.plane.isAlive) return;
    const node = await lane.occupant().catch(() => null);
    if (node === null || node.node_id === sick.node || node.phase !== "serving") return;
    this.next = node.kubernetes_node;
    this.isBooted = true;
    lane.slurm.startNode(lane.sick, { isBoot: true });
  }

  private async isOver(): Promise<boolean> {
    const { lane } = this;
    if (!this.isBooted || !lane.joined.plane.isAlive) return false;
    const row = await lane.slurm.node(lane.sick);
    const state = row?.["State"] ?? "";
    if (this.isBobs ? !/^(IDLE|DOWN)\+DRAIN$/.test(state) : state !== "IDLE") return false;
    const node = await lane.occupant().catch(() => null);
    if (node?.phase !== "serving" || node.kubernetes_node === null) return false;
    this.next = node.kubernetes_node;
    const plan = await lane.joined.plane.get<{ actions: unknown[] }>("/plan").catch(() => null);
    return plan?.actions.length === 0;
  }

  private async said(): Promise<string> {
    const { lane } = this;
    const row = await lane.slurm.node(lane.sick);
    const node = await lane.occupant().catch(() => null);
    const why = await lane.joined.plane
      .get<{ state: string; blockers: string[] }>(`/nodes/${node?.node_id}/explain`)
      .catch((error: unknown) => ({ state: String(error), blockers: [] }));
    const shown = `${row?.["State"]} "${reasonOf(row)}" ${node?.node_id} ${node?.phase}`;
    return `${shown}: ${why.state} ${why.blockers.join("; ")}`;
  }

  private async judge(log: string, audit: string, skip: number): Promise<void> {
    this.judgeLog(log);
    this.judgeSessions();
    await this.judgeJob();
    await this.judgeMachines(skip, audit);
    await this.judgeEnd();
  }

  private judgeSessions(): void {
    const { slurm, kube } = this.sample;
    // A person's drain that was first leaves no reason of ours to be seen.
    if (slurm.size !== 1 && !(this.isBobs && slurm.size === 0)) {
      this.wrongs.push(`sessions in Slurm: ${[...slurm].join(", ") || "none"}`);
    }
    if (kube.size !== 1) this.wrongs.push(`sessions in Kubernetes: ${[...kube].join(", ")}`);
    if (new Set([...slurm, ...kube]).size > 1) {
      this.wrongs.push(`Slurm says ${[...slurm].join()}, Kubernetes ${[...kube].join()}`);
    }
  }

  /** Each change of a node as slurmctld took it, in order. */
  private judgeLog(log: string): void {
    const { lane } = this;
    const changes = [...log.matchAll(/update_node: node (\S+) (reason|state) set to:? ?(.*)/g)];
    const kept = changes.filter(([, name]) => name === lane.kept);
    if (kept.length > 0) this.wrongs.push(`${lane.kept} was changed: ${kept.join("; ")}`);
    const own = changes.filter(([, name]) => name === lane.sick);
    for (const [, , field, value = ""] of own) {
      const session = field === "reason" ? parseReason(value)?.session : undefined;
      if (session !== undefined) this.sample.slurm.add(session);
    }
    const states = own.filter(([, , field]) => field === "state");
    const released = states.filter(([, , , value = ""]) => value.startsWith("IDLE"));
    const bootAt = log.lastIndexOf(`Node ${lane.sick} unexpectedly rebooted`);
    const early = released.filter(({ index }) => index < bootAt);
    if (early.length > 0) this.wrongs.push(`released before the next machine was up: ${early}`);
    if (!this.isBobs) return;
    const from = own.findIndex(([line]) => line.includes(BY_BOB));
    // The line of its state is a person's, too.
    const later = own.slice(from + 2);
    if (later.length > 0) this.wrongs.push(`changed after bob: ${later.join("; ")}`);
  }

  private async judgeJob(): Promise<void> {
    const { slurm } = this.lane;
    const ran = await slurm.run(["scontrol", "show", "job", this.job]);
    const field = (name: string): string =>
      new RegExp(`\\b${name}=(\\S+)`).exec(ran.stdout)?.[1] ?? "";
    const [state, restarts] = [field("JobState"), field("Restarts")];
    if (state !== "COMPLETED" || restarts !== "0") {
      this.wrongs.push(`job ${this.job}: ${state}, restarts ${restarts}: ${ran.stderr}`);
    }
  }

  private async judgeMachines(skip: number, audit: string): Promise<void> {
    const { lane, sick, wrongs } = this;
    const entries = lane.cloud(skip);
    const asked = entries.filter((one) => one.kind === "terminate.accepted");
    const others = asked.filter(({ id }) => id !== sick.instance);
    if (others.length > 0) wrongs.push(`${others.length} machines of others ended`);
    const landed = entries.filter(({ kind }) => kind === "landed").length;
    if (landed !== 1) wrongs.push(`${landed} machines bought`);
    const { live, doubles, overlaps } = lane.joined.plane.reality();
    if (live.length !== 2) wrongs.push(`${live.length} machines live`);
    if (doubles.length + overlaps.length > 0) wrongs.push("two machines of one purchase");
    const endedMs = asked[0]?.atMs ?? 0;
    const jobMs = existsSync(this.end) ? Number(readFileSync(this.end, "utf8")) * 1_000 : Infinity;
    if (!(jobMs <= endedMs)) wrongs.push(`ended ${jobMs - endedMs} ms before its job`);
    const podMs = podGoneMs(audit, this.pod);
    if (!(podMs <= endedMs)) wrongs.push(`ended ${podMs - endedMs} ms before its pod`);
  }

  private async judgeEnd(): Promise<void> {
    const { lane, wrongs } = this;
    const kept = await lane.slurm.node(lane.kept);
    if (reasonOf(kept) !== FOREIGN || !/DRAIN/.test(kept?.["State"] ?? "")) {
      wrongs.push(`${lane.kept}: ${kept?.["State"]} "${reasonOf(kept)}"`);
    }
    const next = this.next === null ? null : await lane.joined.node(this.next);
    if (next === null || next.spec.unschedulable === true) wrongs.push(`${this.next} is cordoned`);
    if (!this.isBobs) return;
    const row = await lane.slurm.node(lane.sick);
    if (reasonOf(row) !== BY_BOB) wrongs.push(`bob's reason is now "${reasonOf(row)}"`);
    await lane.slurm.scontrol("update", `nodename=${lane.sick}`, "state=resume");
  }
}

const reasonOf = (row: Readonly<Record<string, string>> | null): string =>
  (row?.["Reason"] ?? "").replace(/ \[[^\]]*\]$/, "");

/** When the API server let the first pod go, by its audit log. */
function podGoneMs(audit: string, pod: string): number {
  type Line = {
    verb: string;
    stage: string;
    objectRef?: { resource?: string; name?: string; subresource?: string };
    user: { username: string };
    stageTimestamp: string;
    responseStatus?: { code?: number };
  };
  for (const text of audit.split("\n")) {
    if (!text.includes(pod) || !text.includes('"delete"')) continue;
    const line = JSON.parse(text) as Line;
    const isPod = line.objectRef?.resource === "pods" && line.objectRef.name?.startsWith(pod);
    if (isPod === true && line.stage === "ResponseComplete" && line.responseStatus?.code === 200) {
      return Date.parse(line.stageTimestamp);
    }
  }
  return Infinity;
}
