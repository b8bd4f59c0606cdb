import { describe, expect, test } from "bun:test";
import { parse } from "yaml";
import { type Format, show } from "./show.ts";
import { logText, terminalSafe } from "../schema/terminal.ts";
import { formatLabels, formatTable } from "./table.ts";
import type { World } from "./world.ts";

const ODD =
  "a\u001b]0;owned\u0007b\u009b31mc\u202Ed\u2066e\u007f\uD800f\r\u001b[8mg\u200b\u2061\u{e0068}\u{e0069}";
const HOSTILE =
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b\u202a-\u202e\u2060-\u206f]|\udb40[\udc00-\udc7f]/;
const STYLE = { color: false, columns: null };

async function shown(format: Format, data: unknown): Promise<string> {
  let out = "";
  const world = { out: (text: string) => void (out += text) } as unknown as World;
  await show({ world, format, style: STYLE }, { data, names: [ODD], human: () => "" });
  return out;
}

describe("nothing that a machine reports drives the terminal", () => {
  const forms = ["json", "jsonl", "yaml"] as const;
  test.each(forms)("%s shows all of it, and means the same", async (format) => {
    const data = { [`key ${ODD}`]: ODD.toWellFormed(), plain: "x" };
    const out = await shown(format, data);
    expect(out).not.toMatch(HOSTILE);
    const read: unknown = format === "yaml" ? parse(out) : JSON.parse(out);
    expect(Object.values(read as object)).toEqual([ODD.toWellFormed(), "x"]);
  });

  test("names, cells and both sides of a label", async () => {
    const table = formatTable(["A"], [[ODD]], STYLE);
    const labels = formatLabels([[`Label ${ODD}`, ODD]], STYLE);
    for (const out of [await shown("name", []), table, labels]) expect(out).not.toMatch(HOSTILE);
  });

  test("logText() leaves one line, and JSON that says the same", () => {
    const line = `time info a node says\nforged: line ${JSON.stringify({ odd: ODD })}`;
    const safe = logText(line);
    expect(safe).not.toMatch(HOSTILE);
    expect(safe).not.toContain("\n");
    expect(JSON.parse(safe.slice(safe.indexOf("{")))).toEqual({ odd: ODD });
  });

  test("terminalSafe() keeps our own colours and rewritten line, and nothing else", () => {
    const own = "\r\u001b[K\u001b[31mUnhealthy\u001b[0m\ta\n";
    expect(terminalSafe(own)).toBe(own);
    expect(terminalSafe("\u001b[2J\u001b[8mx\ry\u009b2J")).toBe("?[2J?[8mx?y?2J");
  });
});
