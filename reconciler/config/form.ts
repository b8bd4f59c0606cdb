/** Checks texts of the configuration by the form that their table names. Pure. */
import { cronProblem } from "../core/scaling/cron.ts";
import type { Form } from "../../schema/config/field.ts";
import { serverOf } from "../core/address.ts";
import { parseNetwork } from "../core/network.ts";
import { type Answer, parseExternal, parseHttpUrl } from "./address.ts";
import { isLabelKey } from "./label.ts";
import { quoteShort } from "./problem.ts";
import { expandHostlist } from "../core/slurm/hostlist.ts";

type Check = {
  (text: string): { code: string; answer: Answer<string> };
  /** All that it asks, where an expression says it. */
  shape?: RegExp;
};

const judge =
  (code: string, parse: (text: string) => Answer<string>): Check =>
  (text) => ({ code, answer: parse(text) });

const fits = (
  code: string,
  isSound: (text: string) => boolean,
  message: (text: string) => string,
  hint: string,
): Check =>
  judge(code, (text) => {
    return isSound(text) ? { ok: true, value: text } : { ok: false, message: message(text), hint };
  });

const matches = (code: string, shape: RegExp, message: string, hint: string): Check => {
  const isSound = (text: string): boolean => shape.test(text);
  return Object.assign(
    fits(code, isSound, () => message, hint),
    { shape },
  );
};

/** Both parts are DNS subdomains (Kubernetes, "Object Names and IDs"). */
const ACCOUNT = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\/[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/;
const JUMP =
  /^(?:[A-Za-z_][A-Za-z0-9._-]{0,31}@)?(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?$/;

function isTimeZone(text: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: text });
    return true;
  } catch {
    return false;
  }
}

export const FORMS: Readonly<Record<Form, Check>> = {
  account: fits(
    "account",
    (text) => ACCOUNT.test(text),
    (text) => `expected NAMESPACE/NAME of a service account, found ${quoteShort(text)}`,
    "for example navarch/navarch-node-agent",
  ),
  /** As kubeadm dials it, always with its port. */
  "api-server": judge("address", (text) => {
    const value = serverOf(text);
    if (value !== null) return { ok: true, value };
    const message = `expected https://host:port without a path, found ${quoteShort(text)}`;
    return { ok: false, message, hint: 'write for example "https://10.0.0.1:6443"' };
  }),
  cron: judge("cron", (text) => {
    const why = cronProblem(text);
    if (why === null) return { ok: true, value: text.trim() };
    const message = `${quoteShort(text)} is no cron expression: ${why}`;
    return { ok: false, message, hint: 'write for example "0 8 * * mon-fri"' };
  }),
  "dns-label": matches(
    "name",
    /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/,
    "expected the name of an object in Kubernetes",
    "lower-case letters, digits and -, 63 characters at most",
  ),
  /** A slash at its end is part of its name. */
  document: judge("url", (text) => {
    const answer = parseHttpUrl(text);
    return answer.ok ? { ok: true, value: text } : answer;
  }),
  /** Detects a literal secret; the message does not repeat it. */
  env: matches(
    "env",
    /^[A-Za-z_][A-Za-z0-9_]*$/,
    "not the name of an environment variable",
    "write for example LAMBDA_API_KEY, and never the value",
  ),
  external: judge("address", parseExternal),
  "host-key": matches(
    "choice",
    /^(?:first-use|provider|insecure|known_hosts:.+)$/,
    "not a way to check host keys",
    "allowed: first-use, provider, known_hosts:<path>, insecure",
  ),
  jump: matches("address", JUMP, "not a valid jump host", "[user@]host[:port]"),
  network: fits(
    "network",
    (text) => parseNetwork(text) !== null,
    (text) => `expected a network, found ${quoteShort(text)}`,
    "write for example 10.0.0.0/8, fd00::/8, or a single address",
  ),
  "label-key": fits(
    "label",
    isLabelKey,
    () => "not a valid label key",
    "the default is navarch.dev/pool",
  ),
  partition: matches(
    "name",
    /^[A-Za-z0-9][A-Za-z0-9_.-]*$/,
    "expected the name of one partition",
    "letters, digits, . _ -",
  ),
  pointer: matches(
    "pointer",
    /^(\/([^~]|~[01])*)?$/,
    "not a JSON Pointer",
    "write for example /queue/depth",
  ),
  hostlist: judge("hostlist", (text) => {
    const list = expandHostlist(text);
    if (list.kind === "ok") return { ok: true, value: text };
    return { ok: false, message: list.message, hint: "write for example n[0-7] or n1,n4" };
  }),
  program: matches(
    "path",
    /^\s*\/\S/,
    "expected the absolute path of a program",
    "write for example /etc/navarch/provider",
  ),
  /** Of `slurmd --conf-server`. */
  "slurm-hosts": matches(
    "address",
    /^(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?(?:,[A-Za-z0-9._-]+(?::\d{1,5})?)*$/,
    "expected host[:port] of slurmctld",
    "write for example slurm-controller:6817",
  ),
  "slurm-rest": judge("url", (text) => {
    if (/^unix:\/[^\s]+$/.test(text)) return { ok: true, value: text };
    const answer = parseHttpUrl(text);
    if (answer.ok) return { ok: true, value: text };
    // Not shown: it may hold a password.
    const message = "expected unix:/path or http(s)://host:port";
    return { ok: false, message, hint: 'write for example "unix:/run/slurmrestd.sock"' };
  }),
  "time-zone": fits(
    "timezone",
    isTimeZone,
    (text) => `unknown time zone ${quoteShort(text)}`,
    "write an IANA name, for example Europe/Oslo",
  ),
  url: judge("url", parseHttpUrl),
  /** A leading minus would be read by ssh as an option, and an @ would name another machine. */
  user: matches(
    "name",
    /^[A-Za-z_][A-Za-z0-9._-]{0,31}$/,
    "not a user name",
    "letters, digits, . _ -",
  ),
};
