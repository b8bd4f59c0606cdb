/**
 * Runs kubectl, so that contexts, plugins for credentials and proxies are those of its user. Each
 * call has a limit, and no shell is in between.
 */
import { passedOn, runProgram } from "../reconciler/program/program.ts";
import type { Context } from "./command.ts";
import { type Flag, type Flags, textFlag } from "./flag.ts";
import type { World } from "./world.ts";

export const KUBECTL_FLAGS: readonly Flag[] = [
  textFlag("kubeconfig", "FILE", "kubeconfig of kubectl (default: its own choice)"),
  textFlag("context", "NAME", "context of the kubeconfig (default: the current one)"),
  textFlag("kubectl", "PATH", "the program (default kubectl)"),
];

export type KubectlAnswer =
  | { ok: true; out: string; err: string }
  /** `why` begins with a lower-case letter and has no full stop. */
  | { ok: false; why: string; out: string };

export type Kubectl = (
  args: readonly string[],
  more?: { input?: string; timeoutMs?: number },
) => Promise<KubectlAnswer>;

const LIMIT_MS = 30_000;
/** Above the limit of one request of kubectl, so that it can say what failed. */
const REQUEST = "--request-timeout=20s";

/** `args` end with the command of `exec` and must not name the cluster. */
export function openKubectl({ flags, world }: Pick<Context, "flags" | "world">): Kubectl {
  const program = flags.text("kubectl") ?? "kubectl";
  const place = placeOf(flags);
  return async (args, { input = "", timeoutMs = LIMIT_MS } = {}) => {
    return runTool(world, { argv: [program, ...place, ...args], input, timeoutMs });
  };
}

function placeOf(flags: Flags): string[] {
  const [file, context] = [flags.text("kubeconfig"), flags.text("context")];
  return [
    ...(file === null ? [] : [`--kubeconfig=${file}`]),
    ...(context === null ? [] : [`--context=${context}`]),
    REQUEST,
  ];
}

type Call = { argv: readonly string[]; input: string; timeoutMs: number };

/** Any program, with the same limits and answer. */
export async function runTool(world: World, call: Call): Promise<KubectlAnswer> {
  const { REAL_CLOCK } = await import("../reconciler/kubernetes/connect.ts");
  const { argv, input, timeoutMs } = call;
  const env = passedOn(world.env);
  const ran = await runProgram({ argv, env, timeoutMs, clock: REAL_CLOCK }, input);
  const name = argv[0] ?? "";
  if (ran.kind === "failed") return { ok: false, why: `${name} ${ran.why}`, out: "" };
  const { status, output: out, stderr: err } = ran;
  if (status === 0) return { ok: true, out, err };
  const said = err === "" ? "" : `: ${lastLine(err)}`;
  return { ok: false, why: `${name} exited with ${status}${said}`, out };
}

const lastLine = (text: string): string => text.split("\n").at(-1) ?? "";
