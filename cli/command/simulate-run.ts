/**
 * `navarch simulate run`: runs a scenario on the real control plane and agent core, with simulated
 * machines, clouds and time.
 */
import type { CompiledPolicy } from "../../health/policy/compile.ts";
import type { Scenario } from "../../simulator/scenario/scenario.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, type Failure, unknownName, usage } from "../failure.ts";
import { type Flag, switchFlag, textFlag, textsFlag } from "../flag.ts";
import { simulate, type Plan } from "../simulation.ts";

const TIMES = ["virtual", "real"] as const;
const SEMANTICS = ["held", "last-report", "upstream"] as const;
const SEED_MAX = 2 ** 53 - 1;

export const RUN_FLAGS: readonly Flag[] = [
  textFlag("seed", "N", "random seed (default or 0: the file's, else random)"),
  textFlag("time", "T", `${TIMES.join(" or ")} (default virtual)`),
  textFlag("speed", "X", "speed factor; with --time real only"),
  textFlag("out", "DIR", "run directory (default sim-runs/<time>)"),
  textFlag("listen", "A", "serve the API at A, for example 127.0.0.1:0"),
  textFlag("health-semantics", "S", `${SEMANTICS.join(", ")} (default held)`),
  textFlag("policy", "F", "health policy; replaces the scenario's"),
  textsFlag("config", "F", "configuration; replaces the scenario's"),
  textFlag("fail-on", "T", "thresholds, as detection_p99<=20s,launches=5"),
  switchFlag("debug", "print all log lines"),
  switchFlag("whole", "also simulate agents without events"),
];

export const simulateRun: Command = {
  name: ["simulate", "run"],
  alias: ["simulate"],
  usage: "<file>",
  summary: "run a scenario and check its result",
  examples: ["navarch simulate run basic-fleet", "navarch simulate run scenario.yaml --seed 7"],
  more:
    "The file may be the name of a built-in scenario (navarch simulate list).\n" +
    "Exit 8 if an assertion, an expectation or a threshold failed, 130 if interrupted.",
  flags: RUN_FLAGS,
  words: { min: 1, max: 1 },
  reach: "offline",
  async run(context) {
    const { openScenario } = await import("../../simulator/scenario/open.ts");
    const { sayProblems } = await import("../problem-view.ts");
    const [file = ""] = context.words;
    const { scenario, problems, text } = await openScenario(file);
    sayProblems(context, problems);
    if (scenario === null || text === null) return EXIT.usage;
    const plan = await planOf(context, scenario, text);
    return "ok" in plan ? plan : simulate(context, plan);
  },
};

/** Reads the flags into a plan; a failure names the flag and its valid values. */
export async function planOf(
  context: Context,
  scenario: Scenario,
  text: string,
): Promise<Plan | Failure> {
  const { flags } = context;
  const time = pick("time", flags.text("time") ?? "virtual", TIMES);
  if (typeof time !== "string") return time;
  const semantics = pick("health-semantics", flags.text("health-semantics") ?? "held", SEMANTICS);
  if (typeof semantics !== "string") return semantics;
  const seed = await seedOf(flags.text("seed"), scenario);
  if (typeof seed !== "number") return seed;
  const speed = Number(flags.text("speed") ?? 1);
  if (!(speed > 0 && speed <= 1_000)) return usage("--speed: expected a number above 0");
  if (flags.text("speed") !== null && time !== "real") {
    return usage("--speed needs --time real; virtual time is as fast as it can be");
  }
  const { parseThresholds } = await import("../../simulator/scenario/threshold.ts");
  const thresholds = parseThresholds(flags.text("fail-on") ?? "");
  if (!thresholds.ok) return usage(`--fail-on: ${thresholds.message}`);
  const policy = await policyOf(context, scenario);
  if ("ok" in policy) return policy;
  const configured = await reconfigure(context, scenario);
  if ("ok" in configured) return configured;
  return {
    scenario: configured,
    text,
    policy,
    seed,
    semantics,
    thresholds: thresholds.thresholds,
    real: time === "real",
    speed: flags.text("speed") === null ? (scenario.stress?.timeScale ?? 1) : speed,
    out: flags.text("out") ?? defaultFolder(context),
    listen: flags.text("listen"),
    whole: flags.on("whole"),
    debug: flags.on("debug"),
    stays: false,
  };
}

function pick<T extends string>(flag: string, given: string, all: readonly T[]): T | Failure {
  return all.find((one) => one === given.toLowerCase()) ?? unknownName(flag, given, all);
}

async function seedOf(given: string | null, scenario: Scenario): Promise<number | Failure> {
  const seed = Number(given ?? 0);
  if (!Number.isInteger(seed) || seed < 0 || seed > SEED_MAX) {
    return usage(`--seed ${given ?? ""}: expected a whole number from 0 to 2^53 − 1`);
  }
  if (seed !== 0) return seed;
  const own = scenario.stress?.seed ?? 0;
  if (own !== 0) return own;
  const { drawSeed } = await import("../../simulator/run/host.ts");
  return drawSeed();
}

async function policyOf(context: Context, scenario: Scenario): Promise<CompiledPolicy | Failure> {
  const { compileRead } = await import("../../health/policy/compile.ts");
  const { compiledBuiltin } = await import("../../health/policy/builtin.ts");
  const file = context.flags.text("policy") ?? scenario.config.server.healthPolicyPath;
  if (file !== null) {
    const { openRules } = await import("../policy-file.ts");
    const { sayProblems } = await import("../problem-view.ts");
    const { compiled, problems } = await openRules(file);
    sayProblems(context, problems);
    return compiled ?? usage(`the policy ${file} cannot be used`);
  }
  if (scenario.policy === null) return compiledBuiltin;
  return compileRead(scenario.policy);
}

/** The pools, providers and server of `--config` in place of the file's. */
async function reconfigure(context: Context, scenario: Scenario): Promise<Scenario | Failure> {
  const paths = context.flags.texts("config");
  if (paths.length === 0) return scenario;
  const { examine } = await import("../../reconciler/server/load.ts");
  const { formatProblem } = await import("../../reconciler/config/problem.ts");
  // The files and clouds in it belong to the real fleet; the simulation needs none.
  const options = { portZero: true, externalAddress: true, around: null };
  const { config, problems } = await examine(paths, options);
  const errors = problems.filter((problem) => problem.severity === "error");
  if (config === null) return usage(errors.map(formatProblem).join("\n"));
  return { ...scenario, config, implicitPool: false };
}

/** `sim-runs/2026-01-31T12-00-00Z`. */
export function defaultFolder({ world }: Context): string {
  const at = new Date(world.wallMs()).toISOString().replace(/\.\d+Z$/, "Z");
  return `sim-runs/${at.replaceAll(":", "-")}`;
}
