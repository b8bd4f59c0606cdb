/**
 * Runs Slurm's client programs for commands of this program: argument vectors without a shell, a
 * limit for each call, and the caller's environment for `SLURM_CONF`.
 *
 * Adapter: processes, timers.
 */
import { join } from "node:path";
import { passedOn, runProgram } from "../reconciler/program/program.ts";
import { textFlag } from "./flag.ts";
import type { World } from "./world.ts";

export const COMMAND_DIR = textFlag("command-dir", "DIR", "folder of Slurm's commands");

export type ToolAnswer = { ok: true; output: string } | { ok: false; message: string };
export type SlurmTool = {
  /** Never rejects. */
  run(argv: readonly string[], limitMs: number): Promise<ToolAnswer>;
  monoMs(): number;
  sleep(ms: number): Promise<void>;
};

const clock = {
  after(ms: number, work: () => void): () => void {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

export function openSlurmTool(world: World, commandDir: string | null): SlurmTool {
  const env = { ...passedOn(world.env), LC_ALL: "C" };
  return {
    async run([name = "", ...more], limitMs) {
      const program = commandDir === null ? name : join(commandDir, name);
      const argv = [program, ...more];
      const ran = await runProgram({ argv, env, timeoutMs: limitMs, clock }, "");
      if (ran.kind === "failed") return { ok: false, message: `${name}: ${ran.why}` };
      if (ran.status === 0) return { ok: true, output: ran.output };
      const why = (ran.stderr || ran.output).trim().slice(0, 300).replaceAll("\n", "; ");
      return { ok: false, message: `${name}: exit ${ran.status}: ${why}` };
    },
    monoMs: world.monoMs,
    sleep: world.sleep,
  };
}
