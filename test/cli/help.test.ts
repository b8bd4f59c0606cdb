import { describe, expect, test } from "bun:test";
import { COMMANDS } from "../../cli/catalog.ts";
import { printHelp } from "../../cli/help.ts";
import { navarch } from "./spawn.ts";

describe("navarch help", () => {
  test("shows every command and every common flag", async () => {
    const { code, out, err } = await navarch(["help"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatchSnapshot();
  });

  test.each([[[]], [["--help"]], [["-h"]]])("is what %p prints", async (args) => {
    const [asked, help] = await Promise.all([navarch(args), navarch(["help"])]);
    expect(asked).toEqual(help);
  });

  test.each(COMMANDS.map((command) => command.name.join(" ")))("tells about %s", (name) => {
    const command = COMMANDS.find((one) => one.name.join(" ") === name);
    if (command === undefined) throw new Error(name);
    expect(printHelp(command)).toMatchSnapshot();
  });

  test("is reached by help and by --help, before or after the command", async () => {
    const forms = [
      ["help", "pool", "scale"],
      ["pool", "scale", "--help"],
      ["--help", "pool", "scale"],
      ["pool", "scale", "training", "-h"],
    ];
    const answers = await Promise.all(forms.map((args) => navarch(args)));
    expect(new Set(answers.map(({ out }) => out)).size).toBe(1);
    expect(answers[0]?.out).toStartWith("Set the size of a pool.");
    expect(answers.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
  });

  test("shows a group, and refuses the group alone as a command", async () => {
    const [asked, alone] = await Promise.all([navarch(["help", "token"]), navarch(["token"])]);
    expect(asked.out).toContain("token revoke <id>");
    expect(alone).toEqual({ code: 2, out: "", err: asked.out });
  });

  test("fits a terminal of 120 columns", async () => {
    const { out } = await navarch(["help", "list"]);
    expect(out.split("\n").filter((line) => line.length > 120)).toEqual([]);
  });
});
