/**
 * Moves a control plane and the virtual clock by hand: activations at one instant until nothing is
 * left to do, then a jump over time in which nothing can change. `navarch simulate` runs the
 * product's own loop instead: its agents report at any time, and its clock may be real.
 */
import type { Reconciler } from "../../reconciler/runtime/loop.ts";
import { PULSE_MS } from "../../reconciler/runtime/presence.ts";
import type { VirtualClock } from "../../simulator/engine/clock.ts";

export type RestOptions = {
  /** Activations without a rest after which it is called restless. */
  activationsMax: number;
  /** Continues while something wakes the loop, not only while the plan acts. */
  untilQuiet: boolean;
  /** Lets what the activation started run. */
  settle(): Promise<void>;
  /** The process died, at the hands of a crash injector. */
  isDead(): boolean;
};

/** Activates until the plan has nothing to do now. */
export async function rest(
  reconciler: Reconciler,
  { activationsMax, untilQuiet, settle, isDead }: RestOptions,
): Promise<"rested" | "dead" | "restless"> {
  for (let i = 0; i < activationsMax; i++) {
    if (isDead()) return "dead";
    try {
      await reconciler.activate();
    } catch (error) {
      if (isDead()) return "dead";
      throw error;
    }
    await settle();
    if (isDead()) return "dead";
    const isBusy = reconciler.lastPlan().actions.length > 0;
    if (!isBusy && !(untilQuiet && reconciler.isWoken)) return "rested";
  }
  return "restless";
}

/** Lets time pass for a process that runs: it pulses, as its own timer does in production. */
export async function passAwake(
  clock: VirtualClock,
  ms: number,
  reconciler: Reconciler,
): Promise<void> {
  const { heartbeatTimeoutMs } = reconciler.activeConfig().server;
  const [mono, wall] = [clock.monoMs(), clock.wallMs()];
  for (let by = PULSE_MS; by <= ms; by += PULSE_MS) {
    reconciler.presence.pulse(mono + by, wall + by, heartbeatTimeoutMs);
  }
  await clock.pass(ms);
}
