import { describe, expect, test } from "bun:test";
import type { WaitReason } from "../../../schema/plan.ts";
import { formatManaged } from "./managed-text.ts";

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
  bought: true,
  calledOff: null,
  because: "XID 79 on GPU 3",
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

  test("broken hardware that a person gave back is a repair that was called off", () => {
    const back = { phase: "serving", session: null } as const;
    const why = "uncordoned in Kubernetes";
    const byHand = formatManaged(
      shown({ ...back, calledOff: { by: "human:kubernetes", why, at: AT } }),
    );
    expect(byHand.reason).toBe("RepairCalledOff");
    expect(byHand.message).toBe(
      "node gpus-0-7 is serving: the repair was called off: uncordoned in Kubernetes at " +
        "2026-11-22T16:19:00Z despite: XID 79 on GPU 3. Run navarch replace gpus-0-7",
    );
    const byAnn = { by: "human:ann", why: "a spare is needed", at: AT };
    const unbought = formatManaged(shown({ ...back, calledOff: byAnn, bought: false }));
    expect(unbought.message).toContain("returned to service by human:ann (a spare is needed)");
    expect(unbought.message).not.toContain("replace");
  });
});
