/**
 * Carries out one operation: one call, and its answer as a value. It neither retries nor decides
 * (laws 2, 3): the next activation repeats the call with the same payload. Never rejects: an
 * adapter that throws is an unknown outcome.
 */
import type { Operation } from "../../../schema/operation.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import type { TaskDemand } from "../../core/console/demand.ts";
import type { Outcome } from "../../core/fold/outcome.ts";
import type { ReadMetric } from "../../core/scaling/metric.ts";
import type { Fence, HostKeysAnswer, Provider } from "../../core/provider.ts";
import type { Scheduler, SchedulerAnswer } from "../../core/kubernetes/scheduler.ts";
import type { SlurmMark, SlurmSink } from "../../core/slurm/sink.ts";
import type { PodScaler } from "./pod-scaler.ts";

export type Targets = {
  provider(name: string): Provider | null;
  scheduler: Scheduler;
  /** The second scheduler; `null` = there is none. */
  slurm: SlurmSink | null;
  /** Sizes Slurm's pods; absent = it cannot be done here. */
  pods?: PodScaler | null;
  /** The credential with which a node's agent reports for that node only. */
  credential(nodeId: string): string;
  /** Sets a machine up over SSH until it ends or the signal aborts; `null` = not available. */
  bootstrap: SetUp | null;
  /** See `Sight`; `null` = keys are not checked. */
  keyProblem: ((path: string) => string | null | undefined) | null;
  /** Reads the sources of `external` autoscalers; `null` = they are not read. */
  readMetric: ReadMetric | null;
  /** What tasks of the demand queue ask of a pool; `null` = there is no queue. */
  tasks: TaskDemand | null;
};

/** What the machine's provider reports now; asked only while its list had no keys. */
export type AskHostKeys = () => Promise<HostKeysAnswer>;
type SetUp = (
  operation: BootstrapOperation,
  signal: AbortSignal,
  hostKeys: AskHostKeys,
) => Promise<Outcome>;

export type BootstrapOperation = Operation & {
  payload: Extract<Operation["payload"], { kind: "bootstrap" }>;
};

/** Settled listings without the instance that a tag-only provider needs before a repeat. */
export const LOOKUPS_MIN = 2;

/**
 * Whether the call may be made now. A tag-only provider cannot recognise a repeat, so a purchase
 * that may have been sent is repeated only after listings do not show its instance
 * (docs/reference/providers.md#repeating-a-request).
 */
export function mayCall(operation: Operation, targets: Targets): boolean {
  if (operation.payload.kind !== "create" || operation.attempts === 0) return true;
  const provider = targets.provider(operation.payload.provider);
  return provider === null || provider.class !== "tag-only" || operation.lookups >= LOOKUPS_MIN;
}

/**
 * Whether the target itself recognises a late call (docs/reference/safety.md#leadership): a create
 * by token or name, a terminate by an id that is never reused, a set-up by the machine's mark. A
 * scheduler and a tag-only cloud cannot.
 */
export function isFenced(operation: Operation, targets: Targets): boolean {
  const { payload } = operation;
  if (payload.kind === "terminate" || payload.kind === "bootstrap") return true;
  return payload.kind === "create" && targets.provider(payload.provider)?.class !== "tag-only";
}

/** `signal` ends a set-up; a call of one request ignores it. */
export async function execute(
  operation: Operation,
  targets: Targets,
  signal: AbortSignal,
): Promise<Outcome> {
  const { node: nodeId, fence: number, session: sessionId } = operation;
  const fence: Fence = { nodeId, fence: number, sessionId };
  try {
    return await call(operation, targets, fence, signal);
  } catch (error) {
    return { kind: "ambiguous", message: error instanceof Error ? error.message : String(error) };
  }
}

async function call(
  operation: Operation,
  targets: Targets,
  fence: Fence,
  signal: AbortSignal,
): Promise<Outcome> {
  const { payload } = operation;
  switch (payload.kind) {
    case "create": {
      const provider = targets.provider(payload.provider);
      if (provider === null)
        return { kind: "ambiguous", message: `provider ${payload.provider} is not configured` };
      const answer = await provider.create(
        payload.request,
        fence,
        targets.credential(operation.node),
      );
      return answer.kind === "ok"
        ? { kind: "done", instance: answer.instance, message: null }
        : answer;
    }
    case "terminate": {
      const provider = targets.provider(payload.provider);
      if (provider === null)
        return { kind: "ambiguous", message: `provider ${payload.provider} is not configured` };
      const answer = await provider.terminate(payload.instanceId, fence);
      // "Not found" is not proof of absence; the listing confirms it.
      if (answer.kind === "accepted" || answer.kind === "not_found") {
        const unknown = answer.kind === "not_found" ? { isUnknown: true as const } : {};
        return { kind: "done", instance: null, message: answer.kind, ...unknown };
      }
      return answer;
    }
    case "reboot": {
      // The order goes with the replies to its reports (`core/fold/reboot-order.ts`).
      if (payload.by === "agent") return { kind: "done", instance: null, message: "ordered" };
      const provider = targets.provider(payload.provider);
      const unsupported = { kind: "unsupported" } as const;
      const answer = (await provider?.reboot(payload.instanceId, fence)) ?? unsupported;
      if (answer.kind === "not_found" || answer.kind === "unsupported") {
        const message =
          answer.kind === "unsupported"
            ? `provider ${payload.provider} does not reboot machines`
            : `${payload.instanceId} is not known to ${payload.provider}`;
        return { kind: "refused", class: "bad_request", message, retryAfterMs: null };
      }
      return answer.kind === "accepted"
        ? { kind: "done", instance: null, message: answer.kind }
        : answer;
    }
    case "bootstrap": {
      if (targets.bootstrap !== null) {
        const one = { ...operation, payload };
        return targets.bootstrap(one, signal, hostKeysFrom(one, targets));
      }
      const message = "this process sets up no machines over SSH";
      return { kind: "refused", class: "bootstrap", message, retryAfterMs: null, final: true };
    }
    case "cordon":
      return cordon(operation.node, payload, targets, fence);
    case "uncordon":
      return uncordon(operation.node, payload, targets, fence);
    case "drain":
      return fromScheduler(await targets.scheduler.drain(operation.node, payload, fence));
    case "end_jobs":
      return endJobs(payload, targets, fence);
    default:
      return unreachable(payload);
  }
}

/** Both schedulers side by side: neither waits for the other, nor fails with it. */
async function cordon(
  node: string,
  { why, again, slurm, only }: Extract<Operation["payload"], { kind: "cordon" }>,
  { scheduler, slurm: sink }: Targets,
  fence: Fence,
): Promise<Outcome> {
  const drains = slurm === undefined ? undefined : sink?.drain(slurm.name, slurm.reason, fence);
  const drained = drains?.catch((error: unknown) => {
    return { kind: "ambiguous", message: String(error) } as const;
  });
  if (only === "slurm") return fromSlurm(await drained);
  const cordoned = scheduler.cordon(node, why, fence, again);
  const [answer, mark] = await Promise.all([cordoned, drained]);
  return { ...fromScheduler(answer), ...(mark === undefined ? {} : { slurm: mark }) };
}

/** Each scheduler's release is an operation of its own. */
async function uncordon(
  node: string,
  { why, keep, slurm }: Extract<Operation["payload"], { kind: "uncordon" }>,
  { scheduler, slurm: sink }: Targets,
  fence: Fence,
): Promise<Outcome> {
  if (slurm !== undefined) {
    const { name, down: liftsDown, lifts } = slurm;
    return fromSlurm(await sink?.undrain(name, fence, { liftsDown, lifts }));
  }
  if (keep === true) return { kind: "done", instance: null, message: null };
  return fromScheduler(await scheduler.uncordon(node, why, fence));
}

/** An answer that is no proof leaves it open: what was not reached is repeated. */
async function endJobs(
  { slurm, jobs, signal }: Extract<Operation["payload"], { kind: "end_jobs" }>,
  { slurm: sink }: Targets,
  fence: Fence,
): Promise<Outcome> {
  if (sink === null) return { kind: "done", instance: null, message: NO_SLURM };
  const answer = await sink.endJobs(slurm, jobs, signal, fence);
  if (answer.kind === "ok") return { kind: "done", instance: null, message: answer.told };
  return { kind: "ambiguous", message: answer.message };
}

const NO_SLURM = "this process has no Slurm";

function fromSlurm(mark: SlurmMark = { kind: "refused", message: NO_SLURM }): Outcome {
  return { kind: "done", instance: null, message: null, slurm: mark };
}

function hostKeysFrom({ payload }: BootstrapOperation, targets: Targets): AskHostKeys {
  return async () => {
    const provider = targets.provider(payload.values["Provider"] ?? "");
    return (await provider?.hostKeys(payload.instanceId)) ?? { kind: "unsupported" };
  };
}

function fromScheduler(answer: SchedulerAnswer): Outcome {
  switch (answer.kind) {
    case "ok":
      return {
        kind: "done",
        instance: null,
        message: answer.message ?? null,
        on: answer.on ?? null,
      };
    case "refused":
      return { ...answer, class: "scheduler", retryAfterMs: null };
    case "ambiguous":
      return answer;
    default:
      return unreachable(answer);
  }
}
