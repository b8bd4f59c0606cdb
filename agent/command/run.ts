/**
 * Runs the two commands that change the machine: only with `--allow-commands`, and only by order of
 * the control plane, which has drained the node before.
 *
 * Adapter: child processes.
 */
import type { AgentCommand, CommandResult } from "../../schema/report.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { resultOf } from "./order.ts";

/** A reset takes 5 to 30 s per GPU; systemd answers at once. */
const TIMEOUT_MS = 120_000;
/** A GPU for `nvidia-smi -i`: UUID, index or PCI address. It never reaches a shell. */
const GPU =
  /^(GPU-[0-9a-fA-F-]{36}|\d{1,3}|[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(\.[0-7])?)$/;

/** The agent's own PATH is ignored. */
const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";

/** Does one `reboot` or `gpu_reset`; parameter `gpu` names one GPU, without it all are reset. */
export async function runCommand(command: AgentCommand): Promise<CommandResult> {
  const id = command.command_id;
  switch (command.type) {
    case "diagnose":
      return resultOf(id, "rejected", "diagnose is not a command of the machine", null);
    case "upgrade":
      return resultOf(id, "rejected", "upgrade is not a command of the machine", null);
    case "reboot":
      return await spawn(id, ["systemctl", "reboot"]);
    case "gpu_reset": {
      const gpu = command.parameters["gpu"];
      if (gpu !== undefined && !GPU.test(gpu)) {
        const why = "parameter gpu must be a UUID, an index or a PCI address";
        return resultOf(id, "rejected", why, null);
      }
      const only = gpu === undefined ? [] : ["-i", gpu];
      return await spawn(id, ["nvidia-smi", "--gpu-reset", ...only]);
    }
    default:
      return unreachable(command.type);
  }
}

async function spawn(id: CommandResult["command_id"], argv: string[]): Promise<CommandResult> {
  const name = argv[0] ?? "";
  const path = Bun.which(name, { PATH });
  if (path === null) return resultOf(id, "failed", `${name} is not installed`, null);
  const child = Bun.spawn([path, ...argv.slice(1)], {
    cwd: "/",
    env: { PATH, LC_ALL: "C" },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: TIMEOUT_MS,
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  const output = `${out}${err}`.trim();
  const done = child.exitCode === 0;
  return resultOf(id, done ? "succeeded" : "failed", output, child.exitCode);
}
