/** The manual pages of both programs, and what mandoc and man-db say of each. */
import { describe, expect, test } from "bun:test";
import { FLAGS } from "../../agent/service/flag.ts";
import { formatNodeManual } from "../../build/deb/node-manual.ts";
import { COMMANDS } from "../../cli/command/catalog.ts";
import { manPages } from "../../cli/man.ts";
import { missesPrograms } from "../real/machine/gate.ts";

const IMPRINT = { date: "2026-01-01", version: "1.2.3" };
const pages = manPages(COMMANDS, IMPRINT);

test("there is a page for the program and for each command, with its flags and examples", () => {
  expect(pages.size).toBe(COMMANDS.length + 1);
  const drain = pages.get("navarch-drain.1") ?? "";
  expect(drain).toContain("navarch\\-drain \\- move work off nodes");
  expect(drain).toContain(".B \\-\\-dry\\-run");
  expect(drain).toContain("navarch drain gpu\\-7 \\-\\-dry\\-run");
});

test("the agent's page has every flag that its help has", () => {
  const page = formatNodeManual(IMPRINT);
  expect(page).toStartWith('.TH "NAVARCH\\-NODE" "8" "2026-01-01"');
  for (const [name, { help }] of Object.entries<{ help?: string }>(FLAGS)) {
    if (help !== undefined) expect(page).toContain(`\\-\\-${name.replaceAll("-", "\\-")}`);
  }
  expect(page).toContain("(default http://localhost:50051) [NAVARCH_SERVER]");
});

const isMissing = await missesPrograms("manual pages", { mandoc: "mandoc", man: "man-db" });

const JUDGES: [string, string[]][] = [
  ["mandoc", ["-Tlint", "-Wwarning"]],
  ["man", ["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "-"]],
];
describe.skipIf(isMissing)("manual pages", () => {
  test.each(JUDGES)(
    "%s has nothing to say against a page",
    (program, flags) => {
      for (const [name, text] of [...pages, ["navarch-node.8", formatNodeManual(IMPRINT)]]) {
        const run = Bun.spawnSync([program, ...flags], {
          stdin: Buffer.from(text ?? ""),
          env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C.UTF-8", MANWIDTH: "80" },
        });
        const printed = program === "mandoc" ? run.stdout.toString() : "";
        const said = `${run.stderr.toString()}${printed}`;
        expect([name, run.exitCode, said]).toEqual([name, 0, ""]);
      }
    },
    60_000,
  );
});
