/** Applies the faults of a scenario's chaos engine to the machines of a run, when each is due. */
import { unreachable } from "../../schema/unreachable.ts";
import type { ChaosEngine } from "../scenario/chaos.ts";
import type { Fault } from "../scenario/fault.ts";
import type { FailureSpec } from "../scenario/scenario.ts";
import type { Member } from "../stack/population.ts";
import type { Stack } from "../stack/stack.ts";
import { breakMachine, mendMachine } from "./step.ts";
import type { RunRecord } from "./record.ts";

export class ChaosDriver {
  readonly #engine: ChaosEngine;
  readonly #stack: Stack;
  readonly #record: RunRecord;
  readonly #elapsed: () => number;
  #cancel: (() => void) | null = null;

  constructor(engine: ChaosEngine, stack: Stack, record: RunRecord, elapsed: () => number) {
    this.#engine = engine;
    this.#stack = stack;
    this.#record = record;
    this.#elapsed = elapsed;
  }

  join(member: Member): void {
    this.#engine.join(this.#elapsed(), { ...member.node, id: member.name });
    this.#arm();
  }

  leave(member: Member): void {
    this.#engine.leave(this.#elapsed(), member.name);
    this.#arm();
  }

  start(): void {
    this.#engine.start(this.#elapsed());
    this.#arm();
  }

  /** Ends the chaos with the run: no further fault starts or recovers. */
  stop(): void {
    this.#engine.stop();
    this.#cancel?.();
  }

  provoke(name: string, failure: FailureSpec): void {
    this.#engine.provoke(this.#elapsed(), name, failure);
    this.#arm();
  }

  #arm(): void {
    this.#cancel?.();
    const at = this.#engine.nextAtMs();
    if (at === null) return;
    this.#cancel = this.#stack.time.after(Math.max(0, at - this.#elapsed()), () => {
      for (const fault of this.#engine.next(this.#elapsed())) this.#carry(fault);
      this.#arm();
    });
  }

  #carry(fault: Fault): void {
    const parts = { stack: this.#stack, record: this.#record };
    switch (fault.kind) {
      case "inject": {
        const member = this.#stack.population.find(fault.node);
        if (member?.live === true) breakMachine(parts, member, fault.failure, fault);
        return;
      }
      case "recover": {
        const member = this.#stack.population.find(fault.node);
        if (member?.live === true) mendMachine(parts, member, fault.failure);
        return;
      }
      case "outage_start":
      case "outage_end":
        this.#record.outage(fault.kind, fault.name, fault.nodes);
        return;
      default:
        unreachable(fault);
    }
  }
}
