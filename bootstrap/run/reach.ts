/**
 * Connects to a machine that may still be booting: retries with pauses of up to five seconds until
 * the deadline. A wrong host key and an unusable private key end it at once.
 */
import { unreachable } from "../../schema/unreachable.ts";
import type { ConnectAnswer, Shell } from "../shell.ts";
import { ABORTED, type Answer, failed, good, refused, sentenceOf } from "./end.ts";
import type { Clock, Job, Ports } from "./job.ts";
import type { AttemptRecord, OpenStep } from "./record.ts";

/** Pauses grow by this step to the maximum, so a machine that is nearly up is reached soon. */
const RETRY_MS_MAX = 5_000;
const RETRY_STEP_MS = 500;
/**
 * Refusals in a row that end the attempt. cloud-init writes the key within seconds of sshd's start,
 * so a minute of refusals means a wrong key; waiting until the deadline would hide that.
 */
const DENIED_MAX = 16;

export async function reach(
  job: Job,
  ports: Ports,
  record: AttemptRecord,
  signal: AbortSignal,
): Promise<Answer<Shell>> {
  const name = `connect ${job.user}@${job.address}:${job.port}`;
  const step = await record.begin("connect", name, "");
  const answer = await tryUntil(job, ports, step, signal);
  if (answer.ok) record.setHostKey(answer.value.hostKey);
  const error = answer.ok ? null : sentenceOf(answer.end);
  try {
    await step.end({ exitCode: null, error });
  } catch (thrown) {
    if (answer.ok) answer.value.shell.close();
    throw thrown;
  }
  return answer.ok ? good(answer.value.shell) : answer;
}

async function tryUntil(
  job: Job,
  ports: Ports,
  step: OpenStep,
  signal: AbortSignal,
): Promise<Answer<ConnectAnswer & { kind: "ok" }>> {
  const { clock } = ports;
  const deadline = clock.monoMs() + job.timeouts.sshMs;
  let deniedInARow = 0;
  for (let tries = 1; ; tries++) {
    const leftMs = Math.max(1, deadline - clock.monoMs());
    const timeoutMs = Math.min(job.timeouts.sshConnectMs, leftMs);
    const answer = await ports.connect({ ...targetOf(job), jump: job.jump, timeoutMs, signal });
    if (signal.aborted) {
      if (answer.kind === "ok") answer.shell.close();
      return ABORTED;
    }
    deniedInARow = answer.kind === "denied" ? deniedInARow + 1 : 0;
    switch (answer.kind) {
      case "ok":
        return good(answer);
      case "host_key":
        return refused("host_key", answer.message);
      case "bad_key":
        return refused("bad_key", answer.message);
      case "denied":
        if (answer.isFinal === true) return refused("denied", answer.message);
        if (deniedInARow >= DENIED_MAX) {
          return failed("denied", `${answer.message} (${deniedInARow} tries in a row)`);
        }
        break;
      case "unreachable":
        break;
      default:
        return unreachable(answer);
    }
    const pauseMs = Math.min(RETRY_MS_MAX, tries * RETRY_STEP_MS);
    if (clock.monoMs() + pauseMs >= deadline) {
      const error = `no SSH within ${seconds(job.timeouts.sshMs)}, last error: ${answer.message}`;
      return failed(answer.kind, error);
    }
    step.say(`try ${tries}: ${answer.message}`);
    if (!(await pause(clock, pauseMs, signal))) return ABORTED;
  }
}

function targetOf({ address, port, user, privateKey, hostKey }: Job) {
  return { host: address, port, user, privateKey, hostKey };
}

/** Resolves to false if the signal came first. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(false);
    const abort = () => {
      cancel();
      resolve(false);
    };
    const cancel = clock.after(ms, () => {
      signal.removeEventListener("abort", abort);
      resolve(true);
    });
    signal.addEventListener("abort", abort, { once: true });
  });
}

export function seconds(ms: number): string {
  return ms >= 60_000 && ms % 60_000 === 0 ? `${ms / 60_000}m` : `${ms / 1_000}s`;
}
