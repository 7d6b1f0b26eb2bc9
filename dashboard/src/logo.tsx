/** The sign of the hub. */

/** A pulse in a rounded square. */
export function Logo({ size = 40 }: { size?: number }) {
  return (
    <svg class="logo" viewBox="0 0 32 32" width={size} height={size} aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" />
      <path d="M4 18h6l3-9 5 15 3.500-9H28" />
    </svg>
  );
}
