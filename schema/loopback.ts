/**
 * Whether a host is this machine itself. One answer for every place that asks, because each lets
 * through what leaves no machine: a token without TLS, a port without a login. Pure.
 */

/** `localhost`, `::1` with or without brackets, 127.0.0.0/8; `""` means every interface. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, "").toLowerCase();
  return name === "localhost" || name === "::1" || /^127(?:\.\d{1,3}){3}$/.test(name);
}
