import { describe, expect, test } from "bun:test";
import { COMMANDS } from "../../cli/command/catalog.ts";
import { GLOBAL_FLAGS } from "../../cli/global-flag.ts";
import { formatFlagsPage, formatGroup, formatHelp, formatOverview } from "../../cli/help.ts";
import { navarch } from "./spawn.ts";

describe("navarch help", () => {
  test("lists every command under the heading of its group", async () => {
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
    expect(formatHelp(command)).toMatchSnapshot();
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

  test("shows the flags of every command on a page of their own", async () => {
    const { code, out } = await navarch(["help", "flags"]);
    expect(code).toBe(0);
    for (const { name } of GLOBAL_FLAGS) expect(out).toContain(`--${name}`);
    expect(out).toMatchSnapshot();
    expect(COMMANDS.map(formatHelp).filter((text) => text.includes("--token-file"))).toEqual([]);
  });

  test("fits a terminal of 80 columns", () => {
    const groups = [...new Set(COMMANDS.map(({ name }) => name[0] ?? ""))];
    const texts = [
      formatOverview(COMMANDS),
      formatFlagsPage(),
      ...COMMANDS.map(formatHelp),
      ...groups.map((name) =>
        formatGroup(
          name,
          COMMANDS.filter((one) => one.name[0] === name),
        ),
      ),
    ];
    const lines = texts.flatMap((text) => text.split("\n"));
    expect(lines.filter((line) => Bun.stringWidth(line) > 80)).toEqual([]);
  });

  test("--version prints what the version command prints, whatever else is asked", async () => {
    const [own, list, command] = await Promise.all([
      navarch(["--version"]),
      navarch(["list", "--version"]),
      navarch(["version"]),
    ]);
    expect(own).toEqual(command);
    expect(list).toEqual(command);
  });
});
