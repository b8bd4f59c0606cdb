/**
 * Runs open operations: starts a bounded number of calls and collects their answers for the next
 * activation. After a crash every open operation is found and started again (law 4).
 */
import type { OperationId } from "../../../schema/id.ts";
import type { Operation } from "../../../schema/operation.ts";
import type { Outcome } from "../../core/fold/outcome.ts";
import type { Clock } from "../../core/clock.ts";
import { OPEN_MAX_MS } from "../../core/turn/backoff.ts";
import { inTime } from "../../core/turn/time-limit.ts";
import { execute, isFenced, mayCall, type Targets } from "./execute.ts";

/**
 * Calls in flight in one lane: enough for a burst, few enough for a cloud's rate limit. A lane is
 * one target and one kind of call, so that a hanging create blocks neither terminates nor cordons.
 */
const LANE_MAX = 16;
/** Virtual nodes have no cloud whose rate could be exceeded: a rehearsal buys thousands at once. */
const VIRTUAL_MAX = 64;
/** The scheduler's own limit paces marks: 64 every quarter of a second is more than it allows. */
const MARKS_MAX = 64;
/** Each set-up is one connection and a push; a hundred machines take four rounds. */
const BOOTSTRAPS_MAX = 32;
/** How soon a set-up ends after its process has lost the lead. */
const LEAD_LOOK_MS = 1_000;
/** After this time the outcome of a call is unknown. */
const CALL_MS = 60_000;

/** Whether this process may start a call, asked immediately before it. */
export type Permit = {
  /** `fenced`: the target refuses a late call, so it may outlive the lease. */
  mayStart(operation: Operation, fenced: boolean): boolean;
  /** Time limit of a call that its target cannot fence; `null` = the usual one. */
  unfencedMs: number | null;
  /** Whether this process may start calls that their target cannot fence. */
  leads(): boolean;
};

/** For a process without standbys. */
export const ALWAYS: Permit = { mayStart: () => true, unfencedMs: null, leads: () => true };

type Lane = { busy: number };

export class Runner {
  private readonly running = new Map<OperationId, { lane: Lane; stop: AbortController }>();
  private readonly lanes = new Map<string, Lane>();
  private readonly targets: Targets;
  private readonly clock: Clock;
  private readonly wakeUp: () => void;
  private readonly permit: Permit;
  private done: { id: OperationId; outcome: Outcome }[] = [];

  constructor(targets: Targets, clock: Clock, wakeUp: () => void, permit: Permit) {
    this.targets = targets;
    this.clock = clock;
    this.wakeUp = wakeUp;
    this.permit = permit;
  }

  /** Starts calls that are due and permitted; `now` is wall milliseconds. */
  start(
    operations: Iterable<Operation>,
    now: number,
    may: (operation: Operation) => boolean = () => true,
  ): void {
    const open = new Set<OperationId>();
    for (const operation of operations) {
      open.add(operation.id);
      if (operation.state !== "asked" || this.running.has(operation.id)) continue;
      // A longer pause was stored before the clock was set back.
      const restMs = operation.notBefore - now;
      if (restMs > 0 && restMs <= OPEN_MAX_MS) continue;
      if (!mayCall(operation, this.targets) || !may(operation)) continue;
      const name = laneOf(operation);
      const lane = this.lanes.get(name) ?? { busy: 0 };
      if (lane.busy >= this.laneMax(operation)) continue;
      if (!this.permit.mayStart(operation, isFenced(operation, this.targets))) continue;
      lane.busy += 1;
      this.lanes.set(name, lane);
      const stop = new AbortController();
      this.running.set(operation.id, { lane, stop });
      void this.run(operation, stop);
    }
    // The operation was cancelled: its answer is not used.
    for (const [id, { stop }] of this.running) if (!open.has(id)) stop.abort("cancelled");
  }

  /** Cancels long calls; the next process finds them open and continues. */
  interrupt(): void {
    for (const { stop } of this.running.values()) stop.abort("interrupted");
  }

  /** Answers since the last call, in their order; a taken operation may start again. */
  take(): { id: OperationId; outcome: Outcome }[] {
    const done = this.done;
    this.done = [];
    for (const { id } of done) {
      const call = this.running.get(id);
      if (call !== undefined) call.lane.busy -= 1;
      this.running.delete(id);
    }
    return done;
  }

  /** Calls in flight, for which a stopping process waits briefly. */
  inFlight(): number {
    return this.running.size;
  }

  private laneMax({ payload }: Operation): number {
    switch (payload.kind) {
      case "bootstrap":
        return BOOTSTRAPS_MAX;
      case "cordon":
      case "uncordon":
        return MARKS_MAX;
      case "create":
      case "terminate":
        return this.targets.provider(payload.provider)?.type === "kwok" ? VIRTUAL_MAX : LANE_MAX;
      default:
        return LANE_MAX;
    }
  }

  private async run(operation: Operation, stop: AbortController): Promise<void> {
    const { unfencedMs } = this.permit;
    const fenced = isFenced(operation, this.targets);
    const callMs = fenced ? callMsOf(operation) : (unfencedMs ?? CALL_MS);
    const late = (): Outcome => {
      stop.abort("interrupted");
      return { kind: "ambiguous", message: `no answer within ${callMs / 1_000} s` };
    };
    const unwatch = operation.payload.kind === "bootstrap" ? this.watchLead(stop) : () => undefined;
    const call = () => execute(operation, this.targets, stop.signal);
    const outcome = await inTime(this.clock, callMs, call, late);
    unwatch();
    this.done.push({ id: operation.id, outcome });
    this.wakeUp();
  }

  /** Interrupts a set-up after the lead is lost; the machine's mark stops a frozen process. */
  private watchLead(stop: AbortController): () => void {
    const look = (): void => {
      if (!this.permit.leads()) return stop.abort("interrupted");
      cancel = this.clock.after(LEAD_LOOK_MS, look);
    };
    let cancel = this.clock.after(LEAD_LOOK_MS, look);
    return () => cancel();
  }
}

/** The time limit of a set-up is the sum of the limits of its parts. */
function callMsOf({ payload }: Operation): number {
  if (payload.kind !== "bootstrap") return CALL_MS;
  const { sshTimeoutMs, sshConnectTimeoutMs, commandTimeoutMs, commands } = payload;
  return sshTimeoutMs + sshConnectTimeoutMs + (commands.length + 2) * commandTimeoutMs + CALL_MS;
}

function laneOf(operation: Operation): string {
  const { payload } = operation;
  // Mirrored marks must not delay a cordon.
  if ("mirror" in payload && payload.mirror === true) return "scheduler/mirror";
  const target =
    payload.kind === "create" || payload.kind === "terminate" ? payload.provider : "scheduler";
  return `${target}/${payload.kind}`;
}
