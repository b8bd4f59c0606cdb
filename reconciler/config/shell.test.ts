/** The keys of a `command` provider with `protocol: shell` (V52). */
import { expect, test } from "bun:test";
import { readCommandSettings, readShellSettings } from "../provider/command/setting.ts";
import { convertConfig } from "./convert.ts";
import { formatProblem } from "./problem.ts";
import { readConfig } from "./read.ts";

const read = (text: string) => {
  return readConfig([{ name: "f", text: `providers:\n  mine:\n    type: command\n${text}` }]);
};
const errors = (text: string) =>
  read(text)
    .problems.filter(({ severity }) => severity === "error")
    .map((one) => formatProblem(one).replace(/^f:[\d:]+ providers\.mine\.?/, ""));

const SCRIPTS = `    protocol: shell
    start: |
      cloud up "\${WORKER_NAME}" </dev/null
      echo "$1"
    stop: cloud down "$1"
    list: cloud ls
`;

test("V52: scripts are read as they are written, and printed so again", () => {
  const { config } = read(`${SCRIPTS}    name_prefix: gpu-\n`);
  if (config === null) throw new Error("refused");
  const [provider] = config.providers;
  const expected = {
    scripts: {
      start: 'cloud up "${WORKER_NAME}" </dev/null\necho "$1"\n',
      ...{ stop: 'cloud down "$1"', list: "cloud ls", batchStart: null },
    },
    ...{ class: "tag-only", settleMs: 600_000, timeoutMs: 50_000, namePrefix: "gpu-" },
  };
  expect(readShellSettings(provider?.settings ?? {})).toMatchObject(expected);
  const again = readConfig([{ name: "f", text: convertConfig(config, "list") }]);
  expect(readShellSettings(again.config?.providers[0]?.settings ?? {})).toMatchObject(expected);
});

test("V52: without protocol a command is a program that speaks JSON", () => {
  const { config } = read("    command: /etc/navarch/provider --fast\n");
  const settings = config?.providers[0]?.settings ?? {};
  expect(readShellSettings(settings)).toBeNull();
  expect(readCommandSettings(settings).argv).toEqual(["/etc/navarch/provider", "--fast"]);
});

const wrong: [string, string, string[]][] = [
  ["nothing", "    timeout: 5s\n", ["command: required"]],
  ["half of the scripts", "    protocol: shell\n    start: x\n", ["stop: required", "list: requ"]],
  ["a program beside scripts", `${SCRIPTS}    command: /x\n`, ["command: has no meaning with"]],
  ["a reboot", `${SCRIPTS}    reboot: true\n`, ["reboot: has no meaning with protocol: shell"]],
  ["a client token", `${SCRIPTS}    class: token\n`, ["class: scripts cannot tell a client token"]],
  [
    "scripts beside a program",
    "    command: /x\n    start: x\n    batch_start: x\n",
    ["start: has no meaning with protocol: json", "batch_start: has no meaning"],
  ],
  ["an empty script", SCRIPTS.replace("cloud ls", '""'), ["list: required"]],
];
test.each(wrong)("V52: refused: %s", (_what, text, expected) => {
  const found = errors(text);
  expect(found).toHaveLength(expected.length);
  for (const [i, line] of expected.entries()) expect(found[i]).toStartWith(line);
});
