import { useEffect, useRef, useState } from 'react';

const settleMs = 350;

/** A value once it has stood still. */
export function useSettled<T>(value: T): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), settleMs);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

/** Likewise, and hands on each new one: not the one it begins with, which would lead a reader back who is leaving. */
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
