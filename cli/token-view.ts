/**
 * Credentials as rows: never the secret, which nobody has any more. Pure.
 */
import type { TokenView } from "../schema/credential.ts";
import { formatTime } from "./age.ts";
import { formatTable, type Style } from "./table.ts";

const HEAD = ["ID", "Role", "Label", "Node ID", "Created", "Expires", "Revoked"];

export function formatTokens(tokens: readonly TokenView[], style: Style): string {
  const rows = tokens.map((one) => [
    one.id,
    one.role,
    one.label ?? "",
    one.node_id ?? "",
    formatTime(one.created_at),
    one.expires_at === null ? "never" : formatTime(one.expires_at),
    formatTime(one.revoked_at),
  ]);
  return formatTable(HEAD, rows, style);
}
