/**
 * What people broke on purpose: open fault injectors by provider, and failures of providers. It
 * lives in memory with one leadership term, so a restart or another leader ends every failure.
 */
import type { FailureClass, ProviderFailure } from "../../schema/provider-failure.ts";
import type { FaultInjector } from "../core/fault-injector.ts";
import type { Clock } from "../core/clock.ts";

/** Calls that change something at the provider. */
const CHANGES: ReadonlySet<string> = new Set(["create", "terminate", "reboot"]);

function meets(cls: FailureClass, op: string): boolean {
  if (cls === "capacity") return op === "create";
  return cls !== "lost_reply" || CHANGES.has(op);
}

/** Machines of simulated workers of AgentPools, beside this process; they have no provider. */
export type WorkerMachines = {
  injector: FaultInjector;
  /** Where a worker's machine is. */
  folder(worker: string): string;
};

export class Simulation {
  readonly workers: WorkerMachines | null;
  readonly #clock: Pick<Clock, "wallMs">;
  readonly #isEnabled: () => boolean;
  readonly #injectors = new Map<string, FaultInjector>();
  readonly #failures = new Map<string, ProviderFailure>();

  constructor(
    clock: Pick<Clock, "wallMs">,
    isEnabled: () => boolean,
    workers: WorkerMachines | null = null,
  ) {
    this.workers = workers;
    this.#clock = clock;
    this.#isEnabled = isEnabled;
  }

  /** Called when a simulated provider is opened, again after each reload of its settings. */
  opened(provider: string, injector: FaultInjector): void {
    this.#injectors.set(provider, injector);
  }

  injector(provider: string): FaultInjector | null {
    return this.#injectors.get(provider) ?? null;
  }

  /** A leadership term begins. */
  clear(): void {
    this.#failures.clear();
  }

  /** Replaces an earlier one. */
  fail(provider: string, failure: ProviderFailure): void {
    this.#failures.set(provider, failure);
  }

  /** False if there was none. */
  heal(provider: string): boolean {
    const was = this.failing(provider) !== null;
    this.#failures.delete(provider);
    return was;
  }

  failing(provider: string): ProviderFailure | null {
    if (!this.#isEnabled()) this.#failures.clear();
    const failure = this.#failures.get(provider) ?? null;
    if (failure === null) return null;
    const isOver = failure.untilMs <= this.#clock.wallMs() || failure.calls === 0;
    if (isOver) this.#failures.delete(provider);
    return isOver ? null : failure;
  }

  /** How this call fails; counts it. `null` = as usual. */
  take(provider: string, op: string): ProviderFailure | null {
    const failure = this.failing(provider);
    if (failure === null || !meets(failure.class, op)) return null;
    const { calls } = failure;
    if (calls !== null) this.#failures.set(provider, { ...failure, calls: calls - 1 });
    return failure;
  }
}
