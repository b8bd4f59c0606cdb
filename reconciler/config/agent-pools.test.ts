/** `agent_pools` as velda writes them (V13): what they become, and what is refused. */
import { expect, test } from "bun:test";
import type { Config } from "../../schema/config.ts";
import { readShellSettings } from "../provider/command/setting.ts";
import { convertConfig } from "./convert.ts";
import { formatProblem } from "./problem.ts";
import { readConfig } from "./read.ts";

const file = (scaler: string, backend = "command: {start: up, stop: down $1, list: ls}") =>
  `agent_pools:\n  - name: gpu\n    auto_scaler:\n      backend: {${backend}}\n${scaler}`;
const BOUNDS = "      max_agents: 10\n";
const read = (text: string) => readConfig([{ name: "f", text }]);
const said = (text: string, severity: string) =>
  read(text)
    .problems.filter((one) => one.severity === severity)
    .map((one) => formatProblem(one).replace(/^f:\d+:\d+: /, ""));

function config(text: string): Config {
  const answer = read(text);
  if (answer.config === null) throw new Error(answer.problems.map(formatProblem).join("\n"));
  return answer.config;
}

test("V13: the numbers of auto_scaler become those of autoscaler idle", () => {
  const all =
    `${BOUNDS}      min_agents: 1\n      min_idle_agents: 2\n      max_idle_agents: 5\n` +
    `      default_slots_per_agent: 2\n      idle_decay: 90s\n`;
  const made = config(file(all));
  expect(made.pools).toMatchObject([
    {
      ...{ name: "gpu", instanceType: "worker", providers: [{ name: "gpu" }] },
      scaling: {
        ...{ minNodes: 1, maxNodes: 10 },
        autoscaler: {
          ...{ type: "idle", minIdle: 2, maxIdle: 5, slotsPerNode: 2, idleDecayMs: 90_000 },
        },
      },
    },
  ]);
  const [provider] = made.providers;
  expect(provider).toMatchObject({ name: "gpu", type: "command" });
  expect(readShellSettings(provider?.settings ?? {})?.scripts).toEqual({
    ...{ start: "up", stop: "down $1", list: "ls", batchStart: null },
  });
});

test("V13: numbers that are not written are velda's", () => {
  expect(config(file(BOUNDS)).pools[0]?.scaling).toMatchObject({
    minNodes: 0,
    autoscaler: { minIdle: 0, maxIdle: null, slotsPerNode: 1, idleDecayMs: 0 },
  });
});

test("V13: config convert prints the pool and the provider, which read as the same", () => {
  const made = config(`${file(BOUNDS)}pools: []\n`);
  const printed = convertConfig(made, "list");
  expect(printed).not.toContain("agent_pools");
  expect(printed).toContain("protocol: shell");
  const again = config(printed);
  expect(again.pools).toEqual(made.pools);
  expect(again.providers).toMatchObject([{ name: "gpu", type: "command" }]);
});

test("V13: keys without a counterpart say what holds instead", () => {
  const keys = {
    ...{ initial_delay: "5s", sync_loop_interval: "60s", scale_up_error_retry_delay: "60s" },
    ...{ allocation_error_reset_after: "90s", metadata: "{description: GPUs}" },
  };
  const lines = Object.entries(keys).map(([key, value]) => `      ${key}: ${value}\n`);
  const quiet = "      mode: MODE_STANDARD\n      kill_unknown_after: 0s\n";
  const text = file(`${BOUNDS}${quiet}${lines.join("")}`);
  expect(said(text, "error")).toEqual([]);
  const warnings = said(text, "warning").filter((line) => line.includes("has no effect:"));
  expect(warnings.map((line) => line.split(": ")[0])).toEqual(
    Object.keys(keys).map((key) => `agent_pools[0].auto_scaler.${key}`),
  );
  // With the numbers of the code that counts them (core/safety/rest.ts).
  for (const part of [
    "each 10 s while a worker starts or stops, otherwise each 30 s",
    "30s after exit status 69, doubling up to 15m;",
    "15m after exit status 73, doubling up to 6h;",
    "1m after exit status 77;",
  ]) {
    expect(warnings.join("\n")).toContain(part);
  }
});

const at = "agent_pools[0].auto_scaler";
const wrong: [string, string, string][] = [
  ["strangers", file(`${BOUNDS}      kill_unknown_after: 5m\n`), `${at}.kill_unknown_after: is`],
  ["batches", file(`${BOUNDS}      mode: MODE_BATCH\n`), `${at}.mode: is not supported`],
  ["no ceiling", file(""), `${at}.max_agents: required`],
  ["a text", file("      max_agents: many\n"), `${at}.max_agents: expected a whole number`],
  ["less than none", file(`${BOUNDS}      min_agents: -1\n`), `${at}.min_agents: must not be`],
  ["an unknown key", file(`${BOUNDS}      min_agent: 1\n`), `${at}.min_agent: unknown field (did`],
  ["a cloud", file(BOUNDS, "aws_launch_template: {a: b}"), `${at}.backend.aws_launch_template`],
  ["half of the scripts", file(BOUNDS, "command: {start: up}"), `${at}.backend.command.stop: requ`],
  ["no backend", file(BOUNDS, ""), `${at}.backend: required`],
  ["no scaler", "agent_pools: [{name: a}]\n", "agent_pools[0].auto_scaler: required: a pool"],
  ["no list", "agent_pools: {a: 1}\n", "agent_pools: expected a list"],
  ["a name that is taken", `${file(BOUNDS)}providers: {gpu: {type: fake}}\n`, "agent_pools: "],
];
test.each(wrong)("V13: refused: %s", (_what, text, expected) => {
  const errors = said(text, "error");
  expect(errors.filter((line) => line.startsWith(expected))).toHaveLength(1);
});
