/**
 * How a bare machine becomes a node: the SSH and setup fields of a pool. Setup commands are parsed
 * as templates here, so that a misspelled variable never reaches a machine.
 */
import { builtinCommands } from "../../bootstrap/builtin/builtin.ts";
import { parseTemplate } from "../../bootstrap/template/parse.ts";
import type { PoolConfig } from "../../schema/config.ts";
import { readSection, type Section } from "./section.ts";
import { readText } from "./value.ts";
import type { Tree } from "./tree.ts";

type Bootstrap = PoolConfig["bootstrap"];
/** What `defaults` may say as well; commands belong to one pool. */
export type BootstrapPart = {
  [Key in Exclude<keyof Bootstrap, "setupCommands">]: Bootstrap[Key] | null;
};

const DEFAULT: Omit<Bootstrap, "setupCommands"> = {
  sshUser: "ubuntu",
  sshPrivateKeyPath: null,
  sshHostKey: "first-use",
  become: "auto",
  pushAgent: false,
  sshPort: 22,
  sshJump: null,
  attempts: 3,
  ipWaitTimeoutMs: 900_000,
  sshTimeoutMs: 600_000,
  sshConnectTimeoutMs: 30_000,
  commandTimeoutMs: 300_000,
};
const COMMANDS_MAX = 100;

export function readBootstrap(section: Section): BootstrapPart {
  const positive = { min: 1 };
  return {
    sshUser: readUser(section),
    sshPrivateKeyPath: section.text("ssh_private_key_path"),
    sshHostKey: readHostKey(section),
    become: section.choice("become", ["auto", "always", "never"]),
    pushAgent: section.flag("push_agent"),
    sshPort: section.integer("ssh_port", { min: 1, max: 65_535 }),
    sshJump: readJump(section),
    attempts: section.integer("bootstrap_attempts", { min: 1, max: 100 }),
    ipWaitTimeoutMs: section.duration("ip_wait_timeout", positive),
    sshTimeoutMs: section.duration("ssh_timeout", positive),
    sshConnectTimeoutMs: section.duration("ssh_connect_timeout", positive),
    commandTimeoutMs: section.duration("command_timeout", positive),
  };
}

/** Nearest place first. */
export function mergeBootstrap(
  parts: readonly BootstrapPart[],
  setupCommands: string[],
): Bootstrap {
  const pick = <Key extends keyof BootstrapPart>(key: Key): Bootstrap[Key] => {
    for (const part of parts) {
      const value = part[key];
      if (value !== null) return value as Bootstrap[Key];
    }
    return DEFAULT[key] as Bootstrap[Key];
  };
  return {
    setupCommands,
    sshUser: pick("sshUser"),
    sshPrivateKeyPath: pick("sshPrivateKeyPath"),
    sshHostKey: pick("sshHostKey"),
    become: pick("become"),
    pushAgent: pick("pushAgent"),
    sshPort: pick("sshPort"),
    sshJump: pick("sshJump"),
    attempts: pick("attempts"),
    ipWaitTimeoutMs: pick("ipWaitTimeoutMs"),
    sshTimeoutMs: pick("sshTimeoutMs"),
    sshConnectTimeoutMs: pick("sshConnectTimeoutMs"),
    commandTimeoutMs: pick("commandTimeoutMs"),
  };
}

/** A leading minus would be read by ssh as an option, and an @ would name another machine. */
function readUser(section: Section): string | null {
  const user = section.text("ssh_user");
  if (user !== null && !/^[A-Za-z_][A-Za-z0-9._-]{0,31}$/.test(user)) {
    section.fail("ssh_user", "name", "not a user name", "letters, digits, . _ -");
  }
  return user;
}

function readJump(section: Section): string | null {
  const given = section.text("ssh_jump");
  const shape =
    /^(?:[A-Za-z_][A-Za-z0-9._-]{0,31}@)?(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?$/;
  if (given !== null && !shape.test(given)) {
    section.fail("ssh_jump", "address", "not a machine to jump over", "[user@]host[:port]");
  }
  return given;
}

function readHostKey(section: Section): string | null {
  const given = section.text("ssh_host_key");
  if (given !== null && !/^(?:first-use|provider|insecure|known_hosts:.+)$/.test(given)) {
    const hint = "allowed: first-use, provider, known_hosts:<path>, insecure";
    section.fail("ssh_host_key", "choice", "not a way to check host keys", hint);
  }
  return given;
}

/**
 * The commands, each a template that parses: first those of the templates that come with the
 * product (`setup_templates: [agent]`), then the pool's own.
 */
export function readCommands(section: Section): string[] {
  return [...readTemplates(section), ...readOwnCommands(section)];
}

function readTemplates(section: Section): string[] {
  return (section.items("setup_templates") ?? []).flatMap((item) =>
    readBuiltin(section, item, readText(section.problems, item, false)),
  );
}

/** `at` is where the name stands. */
function readBuiltin({ problems }: Section, at: Tree, name: string | null): string[] {
  if (name === null || at.kind !== "scalar") return [];
  const answer = builtinCommands(name);
  if (answer.ok) return [...answer.commands];
  problems.error(at.inside(1, 1), at.path, "template", answer.error);
  return [];
}

/** Each a command, or `template: NAME`, where what such a template needs is made before it. */
function readOwnCommands(section: Section): string[] {
  const items = section.items("setup_commands") ?? [];
  if (items.length > COMMANDS_MAX) {
    section.fail("setup_commands", "limit", `has more than ${COMMANDS_MAX} commands`);
  }
  return items.slice(0, COMMANDS_MAX).flatMap((item) => {
    if (item.kind === "map") return readNamed(section, item);
    return readCommand(section, item) ?? [];
  });
}

function readNamed(section: Section, item: Tree): string[] {
  const map = readSection(section.problems, item, item.path, item.at);
  const entry = map.look("template");
  const name = map.text("template");
  if (entry === null) map.missing("template", "a command is a text");
  map.finish();
  return entry === null ? [] : readBuiltin(section, entry.value, name);
}

function readCommand(section: Section, item: Tree): string | null {
  const text = readText(section.problems, item, false);
  if (text === null || item.kind !== "scalar") return null;
  const answer = parseTemplate(text);
  if (!answer.ok) {
    const at = item.inside(answer.at.line, answer.at.col);
    section.problems.error(at, item.path, "template", answer.message, answer.hint);
  }
  return text;
}
