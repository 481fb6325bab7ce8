import { useEffect, useRef, useState } from 'react';

const settleMs = 350;

/** The value after it has stopped changing. */
export function useSettled<T>(value: T): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), settleMs);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

/** Likewise, and reports each new value, but not the first: that would navigate back a reader who is leaving the page. */
export function useSettledChange(value: string, onChange: (value: string) => void): string {
  const settled = useSettled(value);
  const told = useRef(settled);
  useEffect(() => {
    if (told.current === settled) return;
    told.current = settled;
    onChange(settled);
  }, [settled, onChange]);
  return settled;
}
