import { describe, expect, test } from "bun:test";
import { fillNotifier, type Webhook } from "../../server/notifier.ts";

const HOOK: Webhook = {
  type: "webhook",
  cordonUrl: null,
  uncordonUrl: null,
  drainUrl: null,
  drainStatusUrl: null,
  timeoutMs: 1_000,
  headers: {},
  secretEnv: null,
  retry: { attempts: 3, initialMs: 1_000, maxMs: 60_000 },
};
const ENV = { A: "https://a.example/x", B: "b", EMPTY: "", BAD: "ftp://x", LINE: "x\ny" };

const filled = (more: Partial<Webhook>) => fillNotifier({ ...HOOK, ...more }, ENV);
const problems = (more: Partial<Webhook>): [string, string][] => {
  const answer = filled(more);
  return answer.ok ? [] : answer.problems.map(({ keys, message }) => [keys.join("."), message]);
};

describe("fillNotifier()", () => {
  test("changes nothing where nothing is to be filled in", () => {
    expect(filled({})).toEqual({ ok: true, config: HOOK, secret: null });
  });

  test("fills in the URLs, the headers and the secret, and leaves what it was given", () => {
    const given: Webhook = {
      ...HOOK,
      cordonUrl: "${A}",
      uncordonUrl: "https://${B}.example/",
      drainUrl: "${EMPTY}",
      drainStatusUrl: "https://c.example",
      headers: { "X-Team": "${B}c", Plain: "1" },
      secretEnv: "B",
    };
    const before = structuredClone(given);
    expect(fillNotifier(given, ENV)).toEqual({
      ok: true,
      config: {
        ...given,
        cordonUrl: ENV.A,
        uncordonUrl: "https://b.example/",
        drainUrl: null,
        drainStatusUrl: "https://c.example",
        headers: { "X-Team": "bc", Plain: "1" },
      },
      secret: "b",
    });
    expect(given).toEqual(before);
  });

  const AT = "server.notifier.webhook";
  test.each<[Partial<Webhook>, [string, string][]]>([
    [{ cordonUrl: "${NO}" }, [[`${AT}.cordon_url`, "environment variable NO is not set"]]],
    [{ uncordonUrl: "${NO}" }, [[`${AT}.uncordon_url`, "environment variable NO is not set"]]],
    [{ drainUrl: "${NO}" }, [[`${AT}.drain_url`, "environment variable NO is not set"]]],
    [
      { drainStatusUrl: "${BAD}" },
      [[`${AT}.drain_status_url`, "filled in, ${BAD} is not usable: not an absolute URL"]],
    ],
    [{ headers: { X: "${NO}" } }, [[`${AT}.headers.X`, "environment variable NO is not set"]]],
    [
      { headers: { X: "${LINE}" } },
      [[`${AT}.headers.X`, "filled in, header X is not one line of ASCII text"]],
    ],
    [{ secretEnv: "NO" }, [[`${AT}.secret_env`, "environment variable NO is not set"]]],
    [{ secretEnv: "EMPTY" }, [[`${AT}.secret_env`, "environment variable EMPTY is not set"]]],
    [
      { cordonUrl: "${NO}", headers: { X: "${NO}" }, secretEnv: "NO" },
      [
        [`${AT}.cordon_url`, "environment variable NO is not set"],
        [`${AT}.headers.X`, "environment variable NO is not set"],
        [`${AT}.secret_env`, "environment variable NO is not set"],
      ],
    ],
  ])("names every problem with its key, and no value: %o", (more, expected) => {
    expect(problems(more)).toEqual(expected);
  });

  test("asks of a URL without names no less", () => {
    expect(problems({ cordonUrl: "ftp://x" })[0]?.[1]).toStartWith(
      "filled in, ftp://x is not usable",
    );
  });
});
