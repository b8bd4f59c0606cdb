import { describe, expect, test } from "bun:test";
import type { WaitReason } from "../../schema/plan.ts";
import { formatManaged } from "./desired-status.ts";

const AT = Date.UTC(2026, 10, 22, 16, 19, 0, 250);
type Shown = Parameters<typeof formatManaged>[0];

const shown = (more: Partial<Shown> = {}): Shown => ({
  node: "gpus-0-7" as Shown["node"],
  phase: "suspect",
  session: "s1",
  wait: null,
  busy: false,
  refused: false,
  onHold: false,
  cutsOff: false,
  calledOff: false,
  ...more,
});
const waits = (reason: WaitReason, message: string, until: number | null = null) => ({
  wait: { reason, message, until },
});

describe("formatManaged()", () => {
  test("says the phase alone where nothing waits", () => {
    expect(formatManaged(shown({ phase: "serving", session: null }))).toEqual({
      reason: "Serving",
      message: "node gpus-0-7 is serving",
    });
  });

  test.each<[WaitReason, Partial<Shown>, string, string]>([
    ["budget", {}, "BudgetExhausted", "no room in a budget: why"],
    ["breaker", {}, "BreakerOpen", "slowed by a circuit breaker: why"],
    ["blind", {}, "ControlPlaneBlind", "the control plane cannot see enough to act: why"],
    ["spend", {}, "SpendLimitReached", "a spend limit is reached: why"],
    ["bootstrap_guard", {}, "ReplacementsFail", "why"],
    ["human", { onHold: true }, "OnHold", "why"],
    ["human", {}, "Suspect", "why"],
    ["backoff", { refused: true }, "CordonRefused", "why"],
    ["backoff", {}, "Suspect", "why"],
    ["threshold", {}, "Suspect", "why"],
  ])("%s %p is reason %s", (reason, more, said, text) => {
    const { wait } = waits(reason, "why");
    expect(formatManaged(shown({ ...more, wait }))).toEqual({
      reason: said,
      message: `node gpus-0-7 is suspect (session s1): ${text}`,
    });
  });

  test("gives times as instants: when it is looked at again, when work is cut off", () => {
    expect(formatManaged(shown(waits("backoff", "it rests", AT))).message).toEndWith(
      "it rests; not before 2026-11-22T16:19:00Z",
    );
    const drain = { phase: "draining", ...waits("drain", "4 pods terminating", AT) } as const;
    expect(formatManaged(shown({ ...drain, cutsOff: true }))).toEqual({
      reason: "Draining",
      message:
        "node gpus-0-7 is draining (session s1): 4 pods terminating; " +
        "what is left is cut off at 2026-11-22T16:19:00Z",
    });
    expect(formatManaged(shown(drain)).message).toEndWith(
      "; the drain's deadline is 2026-11-22T16:19:00Z",
    );
  });

  test("while an effect is on its way, what was said stays", () => {
    const said = formatManaged(shown({ busy: true, ...waits("operation", "cordon is open") }));
    const head = "node gpus-0-7 is suspect (session s1)";
    expect(said).toEqual({ reason: "Suspect", message: head, keeps: head });
  });

  test("a repair that a person called off is the reason, and stays it while a write is out", () => {
    const back = { phase: "serving", session: null, calledOff: true } as const;
    const off = "its repair was cancelled: uncordoned in Kubernetes by hand";
    expect(formatManaged(shown({ ...back, ...waits("human", off) }))).toEqual({
      reason: "RepairCalledOff",
      message: `node gpus-0-7 is serving: ${off}`,
    });
    expect(formatManaged(shown({ ...back, busy: true })).reason).toBe("RepairCalledOff");
  });
});
