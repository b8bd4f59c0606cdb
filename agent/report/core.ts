/**
 * Schedules measurements, reports and orders; judges nothing. Driver and network answer by a
 * deadline, so heartbeats continue whatever hangs. Time comes from the clock port, so a test runs a
 * day in a second.
 */
import type { Finding } from "../../schema/finding.ts";
import type { AgentConfig, Check, ReportReply, REPORT_VERSION } from "../../schema/report.ts";
import { boundCadence, CADENCE, EXTRA_CHECK_MS, FIRST_GRACE_MS, GRACE_MS } from "./cadence.ts";
import { EVENT_MS, OPEN_CHECK_MS, READ_DEADLINE_MS, SAVE_MS, WAKE_MS } from "./cadence.ts";
import { formatCheck, makeFound } from "./check.ts";
import { carryOut } from "./carry.ts";
import { contextOf } from "./context.ts";
import { Delivery, type DeliveryParts } from "./delivery.ts";
import { type GpuTable, makeGpuTable } from "../kernel/finding.ts";
import { Listener } from "./listen.ts";
import type { NvmlAnswer, NvmlCheck } from "../port/reading.ts";
import type { AgentParts } from "./part.ts";
import { makeEventFindings, wantsCheck } from "../probe/event.ts";
import { makeHostFinding } from "../probe/finding.ts";
import { makeIdentities } from "../probe/identity.ts";
import type { ProbeContext, ProbeMemory } from "../probe/probe.ts";
import { runProbes, type ProbeRound } from "../probe/run.ts";
import { Readings } from "./readings.ts";
import type { NewGap } from "../spool/spool.ts";
import type { KernelCursor } from "../port/port.ts";
import { type AgentView, driverOf, makeView, Tally, UNASKED } from "./view.ts";

const VERSION: typeof REPORT_VERSION = 1;

export class Agent {
  readonly #parts: AgentParts;
  readonly #delivery: Delivery;
  readonly #readings: Readings;
  readonly #listener: Listener;
  readonly #timers = new Map<string, () => void>();
  /** Monotonic time of the boot; the wall clock is often corrected after the start. */
  readonly #bootMonoMs: number;
  #config = CADENCE;
  #memory: ProbeMemory;
  #round: ProbeRound | null = null;
  #last: NvmlCheck | null = null;
  /** Conditions of the last round as text: a change is reported at once. */
  #reported = "";
  #checking: Promise<ProbeRound> | null = null;
  #checkingSinceMs = 0;
  #extraCheckMs = -Infinity;
  #spoolMemory: string | null = null;
  #driver = UNASKED;
  readonly #tally = new Tally();
  #behindAt = 0;
  /** The last read caused by a wake-up; a line after a quiet period is read at once. */
  #wokenMs = -Infinity;
  /** More of the log is waiting, and the next read is scheduled. */
  #behind = false;
  #dueMs = 0;
  #lagMs = 0;
  #stopped = false;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    const { clock, identity } = parts;
    this.#bootMonoMs = clock.monoMs() - Math.max(0, clock.wallMs() - identity.bootWallMs);
    // A lost spool may have held what the memory counts as reported.
    this.#memory = parts.memory;
    if (parts.spool.fresh) this.#forgetReported();
    this.#readings = new Readings(parts.load);
    this.#delivery = new Delivery({
      clock: parts.clock,
      sender: parts.sender,
      spool: parts.spool,
      random: parts.random,
      log: parts.log,
      envelope: () => this.#envelope(),
      podToken: parts.podToken,
      notice: parts.notice,
      heard: (reply) => this.#obey(reply),
      delivered: (results) => parts.orders.delivered(results),
    });
    this.#listener = new Listener({
      clock: parts.clock,
      openKernelLog: parts.openKernelLog,
      gpus: () => this.#gpuTable(),
      takeEvents: () => this.#takeEvents(),
      hostFinding: (reason, message) => makeHostFinding(reason, message, this.#context()),
    });
    parts.sender.listen((reply) => this.#obey(reply));
  }

  /** Checks and reports at once, then by the cadence. */
  start(): void {
    const { spool, orders } = this.#parts;
    for (const result of orders.recover()) this.#delivery.answer(result);
    this.#noticeSpool(spool.stats().memory);
    this.#after("first", FIRST_GRACE_MS, () => {
      this.#beginListening();
      this.#delivery.heartbeat();
    });
    // The first check sends the first report itself.
    void this.#check().then(() => this.#after("first", 0, () => this.#beginListening()));
    this.#arm();
  }

  /** The kernel log has new records. */
  wake(): void {
    if (this.#stopped || this.#behind) return;
    const sinceMs = this.#parts.clock.monoMs() - this.#wokenMs;
    if (sinceMs >= WAKE_MS) return this.#listenAwake();
    this.#after("listen", WAKE_MS - sinceMs, () => this.#listenAwake());
  }

  /** The driver stopped answering between two readings. */
  sampleNow(): void {
    if (!this.#stopped) void this.#sample();
  }

  /** The cloud announces the end of this machine. */
  noticed(): void {
    if (!this.#stopped) this.#delivery.pump();
  }

  /** Reports now. */
  tellSoon(): void {
    if (!this.#stopped) this.#delivery.heartbeat();
  }

  view(): AgentView {
    return makeView(this.#parts, this.#round, this.#tally, {
      samples: this.#readings.gpus,
      ...this.#driver,
      ackedAtMs: this.#delivery.ackedAtMs,
      check: this.#last,
      lagMs: this.#lagMs,
    });
  }

  /** Sends a last report within `deadlineMs` and releases everything. */
  async stop(deadlineMs: number): Promise<void> {
    if (this.#stopped) return;
    this.#listen();
    this.#stopped = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    await this.#delivery.finish(deadlineMs);
    const { nvml, sender, spool } = this.#parts;
    this.#save();
    nvml.close();
    sender.close();
    this.#listener.close();
    spool.close();
  }

  #after(name: string, ms: number, work: () => void): void {
    this.#timers.get(name)?.();
    const cancel = this.#parts.clock.after(ms, () => {
      this.#timers.delete(name);
      work();
    });
    this.#timers.set(name, cancel);
  }

  /** The check is armed first, so that a heartbeat of the same instant can carry it. */
  #arm(): void {
    this.#after("check", this.#config.check_ms, () => this.#everyCheck());
    this.#after("sample", this.#config.sample_ms, () => this.#everySample());
    this.#dueMs = this.#parts.clock.monoMs() + this.#config.heartbeat_ms;
    this.#after("heartbeat", this.#config.heartbeat_ms, () => this.#everyHeartbeat());
  }

  #everyCheck(): void {
    this.#after("check", this.#config.check_ms, () => this.#everyCheck());
    void this.#check();
  }

  #everySample(): void {
    this.#after("sample", this.#config.sample_ms, () => this.#everySample());
    void this.#sample();
  }

  #everyHeartbeat(): void {
    const now = this.#parts.clock.monoMs();
    this.#lagMs = Math.max(0, now - this.#dueMs);
    this.#dueMs = now + this.#config.heartbeat_ms;
    this.#after("heartbeat", this.#config.heartbeat_ms, () => this.#everyHeartbeat());
    this.#parts.spool.returnToDisk();
    this.#noticeSpool(this.#parts.spool.stats().memory);
    const fresh = this.#checking && now - this.#checkingSinceMs < GRACE_MS;
    if (!fresh) return this.#delivery.heartbeat();
    this.#after("grace", Math.min(GRACE_MS, this.#config.heartbeat_ms / 2), () => {
      this.#delivery.heartbeat();
    });
  }

  #context(): ProbeContext {
    return contextOf(this.#parts, this.#bootMonoMs);
  }

  /** One at a time; a second caller gets the same round. */
  #check(): Promise<ProbeRound> {
    if (this.#checking) return this.#checking;
    this.#checkingSinceMs = this.#parts.clock.monoMs();
    this.#checking = this.#lookAtAll().finally(() => void (this.#checking = null));
    return this.#checking;
  }

  async #lookAtAll(): Promise<ProbeRound> {
    const { host, log, nvml } = this.#parts;
    const begun = host?.look(this.#context());
    const answer = await nvml.check(READ_DEADLINE_MS);
    if (begun) this.#keep(await begun, [], null);
    const isFirst = this.#round === null;
    const round = this.#conclude(answer);
    this.#last = answer.kind === "ok" ? answer.value : null;
    if (host && isFirst) log("info", "found", makeFound(round, this.#last, host.round));
    if (this.#timers.has("grace")) this.#after("grace", 0, () => this.#delivery.heartbeat());
    return round;
  }

  #conclude(answer: NvmlAnswer<NvmlCheck>): ProbeRound {
    const round = runProbes(answer, this.#memory, this.#context());
    if (this.#stopped) return round;
    this.#noticeDriver(answer);
    const old = JSON.stringify([Object.keys(this.#memory.held), this.#memory.expected]);
    this.#memory = round.memory;
    const now = JSON.stringify([Object.keys(round.memory.held), round.memory.expected]);
    this.#round = round;
    const atMs = this.#parts.clock.wallMs();
    if (answer.kind === "ok") this.#readings.check(round.samples, answer.value, atMs);
    this.#keep(round.findings, [], null);
    const check = this.#checkNow(round, atMs);
    this.#tally.conclude(check);
    const text = JSON.stringify([check.conclusive, check.present_gpus, check.active]);
    this.#delivery.check(check, text !== this.#reported);
    this.#reported = text;
    this.#delivery.pump();
    if (now !== old || this.#parts.host?.changed) this.#after("save", SAVE_MS, () => this.#save());
    if (round.open) this.#after("open", OPEN_CHECK_MS, () => void this.#check());
    return round;
  }

  /** After the findings are durable: a crash in between repeats findings but loses none. */
  #save(): void {
    this.#parts.saveMemory(this.#memory);
    this.#parts.host?.save();
  }

  #checkNow(round: ProbeRound, atMs: number): Check {
    const own: string[] = [];
    if (this.#listener.deaf !== null) own.push("host/kernel_log_deaf/node");
    if (this.#spoolMemory !== null) own.push("host/spool_memory/node");
    return formatCheck(round, this.#parts.host?.round ?? null, own, atMs);
  }

  async #sample(): Promise<void> {
    const answer = await this.#parts.nvml.sample(READ_DEADLINE_MS);
    if (this.#stopped) return;
    // The finding that the next check would report.
    if (answer.kind !== "ok") return void this.#conclude(answer);
    this.#noticeDriver(answer);
    const surprising = this.#readings.sample(answer.value, this.#parts.clock.wallMs());
    const blind = this.#round?.active.some((key) => key.startsWith("driver/")) ?? false;
    if (surprising || blind) this.#checkSoon();
  }

  /** False if the last extra check was too recent. */
  #checkSoon(): boolean {
    const now = this.#parts.clock.monoMs();
    if (now - this.#extraCheckMs < EXTRA_CHECK_MS) return false;
    this.#extraCheckMs = now;
    void this.#check();
    return true;
  }

  #noticeDriver(answer: NvmlAnswer<unknown>): void {
    this.#driver = driverOf(answer, this.#driver.abandoned);
    if (!this.#driver.answers) this.#readings.silence(this.#parts.clock.wallMs());
  }

  #beginListening(): void {
    if (this.#listener.ready || this.#stopped) return;
    this.#listener.open(this.#parts.spool.cursor());
    this.#listen();
  }

  /** A driver that hangs from the start must not remove the names of this boot's GPUs. */
  #gpuTable(): GpuTable {
    const { bootId } = this.#parts.identity;
    const known = this.#memory.bootId === bootId ? makeIdentities(this.#memory) : [];
    return makeGpuTable(this.#round?.gpus ?? known, this.#parts.readBus());
  }

  #listenAwake(): void {
    this.#wokenMs = this.#parts.clock.monoMs();
    this.#listen();
  }

  #listen(): void {
    if (!this.#listener.ready) return;
    const { findings, gaps, cursor, more } = this.#listener.read();
    this.#keep(findings, gaps, cursor);
    this.#delivery.pump();
    this.#behind = more;
    if (this.#stopped) return;
    const { kernelPollMs } = this.#parts;
    const pollMs = this.#listener.waiting ? Math.min(EVENT_MS, kernelPollMs) : kernelPollMs;
    this.#after("listen", more ? 0 : pollMs, () => this.#listen());
  }

  #takeEvents(): Finding[] {
    const events = this.#parts.nvml.takeEvents();
    if (events.length === 0) return [];
    if (wantsCheck(events)) this.#checkSoon();
    return makeEventFindings(events, this.#round?.gpus ?? [], this.#context());
  }

  /** Makes records durable; the caller sends afterwards. */
  #keep(findings: Finding[], gaps: NewGap[], cursor: KernelCursor | null): void {
    this.#parts.spool.append(findings, gaps, cursor);
    this.#tally.note(findings);
  }

  #noticeSpool(failure: string | null): void {
    const before = this.#spoolMemory;
    this.#spoolMemory = failure;
    if (failure === null || before !== null) return;
    this.#parts.log("warn", "spool is in memory only", { reason: failure });
    const message = `findings are kept in memory only: ${failure}`;
    this.#keep([makeHostFinding("spool_memory", message, this.#context())], [], null);
  }

  #envelope(): ReturnType<DeliveryParts["envelope"]> {
    const { clock, duty, guard, identity, inventory, nvml } = this.#parts;
    const trust = guard.view();
    return {
      version: VERSION,
      node_id: identity.nodeId,
      boot_id: identity.bootId,
      agent_version: identity.agentVersion,
      simulated: nvml.simulated,
      sent_at: new Date(clock.wallMs()).toISOString(),
      inventory: this.#round ? { ...inventory(this.#round.gpus), trust } : null,
      sample: this.#readings.format(),
      ...(trust.refused ? { refused_orders: trust.refused } : {}),
      ...(duty ? { worker: duty.report() } : {}),
    };
  }

  /** The control plane's reply: cadence, credential, commands, and how far it has the stream. */
  #obey(reply: ReportReply): void {
    if (this.#stopped) return;
    this.#setCadence(reply.config);
    this.#tally.hear(reply, this.#parts.clock.monoMs());
    if (this.#parts.promises.hear(reply)) this.#after("promise", 0, () => this.#checkSoon());
    if (reply.credential) this.#parts.adopt(reply.credential);
    if (reply.order_key) this.#parts.guard.shown(reply.order_key);
    // The control plane waits for the answer before it ends the pod.
    if (this.#parts.duty?.hear(reply.worker)) this.#after("duty", 0, () => this.tellSoon());
    const { spool } = this.#parts;
    const memory = spool.acknowledge(reply.stream, reply.ack_seq);
    if (memory === "behind" && this.#behindAt !== spool.acked) this.#reportAgain();
    if (memory === "renewed") this.#noticeRenewed();
    if (reply.tell_again && this.#checkSoon()) this.#forgetReported();
    for (const command of reply.commands) {
      void carryOut(command, {
        ...this.#parts,
        check: () => this.#check(),
        answer: (result) => this.#delivery.answer(result),
      });
    }
  }

  /** The store was lost: current findings and this boot's log are reported again. */
  #reportAgain(): void {
    this.#behindAt = this.#parts.spool.acked;
    this.#parts.log("warn", "the control plane lost findings; reporting current ones again");
    if (this.#listener.ready) this.#listener.open(null);
    this.#forgetReported();
    void this.#check().then(() => this.wake());
  }

  /** The next check reports all current conditions. */
  #forgetReported(): void {
    this.#memory = { ...this.#memory, held: {} };
    this.#parts.host?.reportAgain();
  }

  /** The first record of the new stream makes a later loss of the store detectable. */
  #noticeRenewed(): void {
    const message = "another sender uses this agent's stream, or its disk was restored";
    this.#parts.log("warn", "findings continue in a new stream", { reason: message });
    this.#keep([makeHostFinding("stream_renewed", message, this.#context())], [], null);
  }

  #setCadence(config: AgentConfig): void {
    const next = boundCadence(config);
    if (Bun.deepEquals(next, this.#config)) return;
    this.#config = next;
    this.#parts.log("info", "new cadence", next);
    this.#arm();
  }
}
