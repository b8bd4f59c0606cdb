/**
 * Asks a machine's provider for its SSH host keys at the set-up. Some clouds report them minutes
 * after the boot: with `ssh_host_key: provider` the set-up waits, and after a while its attempts
 * count, so that a machine whose image reports none is replaced and does not wait for ever.
 */
import type { InstanceId } from "../../../schema/id.ts";
import type { Clock } from "../../core/clock.ts";
import { keyBodiesOf } from "../../core/host-key.ts";
import type { AskHostKeys } from "./execute.ts";
import { callInTime } from "./in-time.ts";

/** Longer than EC2 takes to show a console, or a guest agent to start. */
const WAIT_MS = 15 * 60_000;
/** An adapter bounds its calls; this bounds an adapter that does not. */
const ASK_MS = 60_000;
/** More machines than are set up at once; the oldest is forgotten first. */
const WAITING_MAX = 10_000;

/** The provider had its time. */
export class KeysOverdue extends Error {}

export class HostKeyWait {
  readonly #clock: Clock;
  /** Since when each machine's keys are waited for, monotonic. */
  readonly #since = new Map<InstanceId, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * The keys as key checks compare them; empty = the provider reports none to anyone. Throws a
   * sentence if keys are required and not there yet.
   */
  async keysOf(id: InstanceId, ask: AskHostKeys, isRequired: boolean): Promise<string[]> {
    const answer = await callInTime(this.#clock, ask, ASK_MS);
    if (answer.kind === "ok" && answer.hostKeys.length > 0) {
      this.#since.delete(id);
      return keyBodiesOf(answer.hostKeys);
    }
    if (!isRequired || answer.kind === "unsupported") return [];
    const why =
      answer.kind === "ok"
        ? "the provider has none yet"
        : `the provider cannot be asked: ${answer.message}`;
    const message = `its host keys are waited for (ssh_host_key: provider): ${why}`;
    if (answer.kind === "ok" && this.#waitedMs(id) >= WAIT_MS) {
      throw new KeysOverdue(`no host keys within ${WAIT_MS / 60_000} min: ${message}`);
    }
    throw new Error(message);
  }

  #waitedMs(id: InstanceId): number {
    const now = this.#clock.monoMs();
    const since = this.#since.get(id) ?? now;
    this.#since.set(id, since);
    const [oldest] = this.#since.keys();
    if (this.#since.size > WAITING_MAX && oldest !== undefined) this.#since.delete(oldest);
    return now - since;
  }
}
