import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { BootstrapAttemptView, BootstrapStepView } from "../schema/api-bootstrap.ts";
import { freshLines, LiveAttempt } from "./bootstrap-live.ts";
import { formatAttempts } from "./bootstrap-view.ts";

function attempt(
  steps: BootstrapStepView[],
  more: Partial<BootstrapAttemptView> = {},
): BootstrapAttemptView {
  return {
    attempt: 1,
    instance_id: "ssh:h:22",
    address: "h",
    host_key: null,
    started_at: "2026-11-21T10:00:00Z",
    ended_at: null,
    state: "running",
    error: null,
    steps,
    ...more,
  };
}

function step(name: string, more: Partial<BootstrapStepView> = {}): BootstrapStepView {
  return {
    kind: "command",
    name,
    command: `run ${name}`,
    started_at: "2026-11-21T10:00:00Z",
    duration_ms: null,
    exit_code: null,
    stdout: "",
    stderr: "",
    skipped: false,
    error: null,
    ...more,
  };
}

const ENDED = { ended_at: "2026-11-21T10:00:09Z" };

describe("LiveAttempt.next()", () => {
  test("prints what is over at once exactly as it looks afterwards", () => {
    const steps = [
      step("a", { duration_ms: 120, exit_code: 0, stdout: "said\n" }),
      step("b", { duration_ms: 0, exit_code: 0, skipped: true }),
      step("c", { duration_ms: 90, exit_code: 7, stderr: "no\n", error: "c: exit 7" }),
    ];
    const live = new LiveAttempt(false);
    let text = "";
    for (let count = 1; count <= steps.length; count++) {
      const open = steps.slice(0, count - 1).concat(step(steps[count - 1]?.name ?? ""));
      text += live.next(attempt(open), false);
      text += live.next(attempt(steps.slice(0, count)), false);
    }
    const end = attempt(steps, { ...ENDED, state: "failed", error: "c: exit 7" });
    text += live.next(end, false);
    expect(text).toBe(formatAttempts([end], false));
    expect(live.next(end, true)).toBe("");
  });

  test("tells a silent step when it takes its time, and whole lines as they come", () => {
    const live = new LiveAttempt(false);
    const shown = (more: Partial<BootstrapStepView>, patient = false): string =>
      live.next(attempt([step("a", more)]), patient);
    expect(shown({})).toBe("Attempt 1 at h, 2026-11-21T10:00:00Z\n");
    expect(shown({}, true)).toBe("  a  runs\n    $ run a\n");
    expect(shown({}, true)).toBe("");
    expect(shown({ stdout: "one\ntw" })).toBe("    one\n");
    expect(shown({ stdout: "one\ntwo\n", stderr: "oh\n" })).toBe("    two\n    oh\n");
    expect(shown({ stdout: "one\ntwo\nend", stderr: "oh\n", duration_ms: 2_000 })).toBe(
      "    end\n  a  2.0 s\n",
    );
  });

  test("prints each try to connect once", () => {
    const live = new LiveAttempt(false);
    const tried = (error: string) => live.next(attempt([step("connect", { error })]), true);
    expect(tried("try 1: refused")).toContain("    error: try 1: refused\n");
    expect(tried("try 1: refused")).toBe("");
    expect(tried("try 2: refused")).toBe("    error: try 2: refused\n");
  });

  test("keeps what drives a terminal off the screen", () => {
    const text = new LiveAttempt(false).next(attempt([step("a", { stdout: "\x1b[2Jx\n" })]), true);
    expect(text).not.toContain("\x1b");
  });
});

describe("freshLines()", () => {
  test("prints every line once, however the text is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-c]{0,3}\n?$/), { maxLength: 30 }), (parts) => {
        let [now, printed] = ["", ""];
        for (const part of parts) {
          now += part;
          const fresh = freshLines(printed, now, false);
          if (fresh !== "" && !fresh.endsWith("\n")) return false;
          printed += fresh;
        }
        return printed + freshLines(printed, now, true) === now;
      }),
    );
  });

  test("goes on where it was after the middle was left out, or says what is missing", () => {
    const before = "first\nsecond\nthird\n";
    const now = "first\n[… 100 bytes left out …]\nthird\nfourth\n";
    expect(freshLines(before.repeat(1), now, false)).toBe(now.slice(now.indexOf("[…")));
    const known = `${"x".repeat(2_000)}\nlast\n`;
    const later = `head\n[… 100 bytes left out …]\n${"x".repeat(1_100)}\nlast\nnew\n`;
    expect(freshLines(known, later, false)).toBe("new\n");
  });
});
