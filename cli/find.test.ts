import { describe, expect, test } from "bun:test";
import { COMMANDS } from "./command/catalog.ts";
import { findCommand, flagsOf } from "./find.ts";
import { readFlags } from "./flag.ts";
import { readGoFlags } from "./go-flag.ts";
import { GLOBAL_FLAGS } from "./global-flag.ts";

function find(line: string, program = "navarch"): string {
  const argv = line === "" ? [] : line.split(" ");
  const found = findCommand(COMMANDS, program, argv);
  if ("ok" in found) return `refused: ${found.message}`;
  if (found.kind !== "command") return found.kind;
  return [...found.command.name, ...found.words.map((word) => `<${word}>`)].join(" ");
}

describe("findCommand()", () => {
  test.each([
    ["list", "list"],
    ["ls", "list"],
    ["-o json list", "list"],
    ["--pool a get x", "get <x>"],
    ["pool --nodes 3 scale training", "pool scale <training>"],
    ["pool status -- --odd", "pool status <--odd>"],
    ["", "overview"],
    ["--help", "overview"],
    ["-o json", "overview"],
    ["pool", "group"],
    ["--config=c.yaml", "control-plane"],
    ["-config c.yaml", "control-plane"],
    ["--addr :1", "control-plane"],
    ["--state d", "overview"],
    ["doctor kube", "doctor kubernetes"],
    ["doctor store", "doctor store"],
    ["watch nodes --pool a", "watch nodes"],
    ["--version", "version"],
    ["terminate gpu-1 --yes --version", "version"],
    ["lsit", 'refused: unknown command "lsit": did you mean "list"?'],
    [
      "status",
      'refused: unknown command "status": did you mean "pool status" or "config status" or "upgrade status"?',
    ],
    ["frob", 'refused: unknown command "frob" (see navarch help)'],
  ])("reads %p as %s", (line, found) => {
    expect(find(line)).toBe(found);
  });

  test("runs the simulator's commands as simulator", () => {
    expect(find("run fleet.yaml -v", "simulator")).toBe("simulate run <fleet.yaml>");
    expect(find("simulate validate fleet.yaml", "simulator")).toBe(
      "simulate validate <fleet.yaml>",
    );
  });

  test.each([
    ["sim", "simulate workflow"],
    ["sim -h", "simulate workflow <-h>"],
    ["sim -workflow w.yml -v 4", "simulate workflow <-workflow> <w.yml> <-v> <4>"],
    ["simulate -port 80", "simulate workflow <-port> <80>"],
    ["sim workflow -cleanup -- x", "simulate workflow <-cleanup> <--> <x>"],
    ["sim -bogus", "simulate workflow <-bogus>"],
    ["sim --seed 7 run fleet.yaml", "simulate run <fleet.yaml>"],
    ["sim run fleet.yaml", "simulate run <fleet.yaml>"],
    ["sim fleet.yaml", "simulate run <fleet.yaml>"],
    ["simulate", "simulate run"],
    ["simulate --help", "simulate run"],
  ])("W2: reads %p as %s", (line, found) => {
    expect(find(line)).toBe(found);
  });

  test("S38: the links that Slurm starts are its power-saving commands", () => {
    expect(find("c[0-3]", "slurm-resume")).toBe("slurm resume <c[0-3]>");
    expect(find("c0", "slurm-suspend")).toBe("slurm suspend <c0>");
    expect(find("c0", "slurm-resume-fail")).toBe("slurm resume-fail <c0>");
  });

  test("W1: knavigator runs workflows, whatever its words are", () => {
    expect(find("-workflow w.yml -v 4 -cleanup", "knavigator")).toBe(
      "simulate workflow <-workflow> <w.yml> <-v> <4> <-cleanup>",
    );
    expect(find("", "knavigator")).toBe("simulate workflow");
    expect(find("list", "knavigator")).toBe("simulate workflow <list>");
  });

  test.each(["control-plane", "navarch-control-plane"])("starts the server as %s", (program) => {
    expect(find("", program)).toBe("control-plane");
    expect(find("--config c.yaml", program)).toBe("control-plane");
    expect(find("control-plane --dry-run", program)).toBe("control-plane");
  });
});

test("COMMANDS give a flag's name one kind, and no flag or command twice", () => {
  const takesValue = new Map<string, boolean>();
  for (const command of COMMANDS.filter(({ reach }) => reach !== "raw")) {
    const names = command.flags.map((flag) => flag.name);
    expect(names).toEqual([...new Set(names)]);
    for (const { name, kind } of [...GLOBAL_FLAGS, ...command.flags]) {
      const before = takesValue.get(name) ?? kind !== "switch";
      expect([name, kind !== "switch"]).toEqual([name, before]);
      takesValue.set(name, before);
    }
  }
  const names = COMMANDS.flatMap(({ name, alias = [] }) => [name.join(" "), ...alias]);
  expect(names).toEqual([...new Set(names)]);
});

test("every command stands in a group, and each of its examples is a line that it reads", () => {
  for (const command of COMMANDS) {
    const { name, group, examples = [], words: bounds } = command;
    expect([name, group === undefined, examples.length === 0]).toEqual([name, false, false]);
    for (const example of examples) {
      const [line = ""] = example.split(/ [|>]/);
      const argv = line.split(/ (?=(?:[^']*'[^']*')*[^']*$)/).slice(1);
      const found = findCommand(COMMANDS, "navarch", argv);
      if ("ok" in found || found.kind !== "command") throw new Error(`${example}: not a command`);
      expect([example, found.command.name]).toEqual([example, name]);
      if (command.reach === "raw") {
        expect([example, readGoFlags(command.goFlags, found.words).kind]).toEqual([example, "ok"]);
        continue;
      }
      expect([example, readFlags(flagsOf(command), argv, {}).ok]).toEqual([example, true]);
      const count = found.words.length;
      expect([example, count >= bounds.min && count <= bounds.max]).toEqual([example, true]);
    }
  }
});
