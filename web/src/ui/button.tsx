import type { ReactNode } from 'react';
import { Button as AriaButton, type ButtonProps as AriaButtonProps } from 'react-aria-components';
import styles from './button.module.css';
import { classes } from './classes.ts';

export type Look = 'primary' | 'secondary' | 'quiet' | 'danger';

export interface ButtonProps extends Omit<AriaButtonProps, 'className' | 'style' | 'children'> {
  readonly look?: Look;
  readonly isSmall?: boolean;
  readonly isIcon?: boolean;
  readonly children: ReactNode;
}

export function buttonClass(look: Look = 'secondary', isSmall = false, isIcon = false): string {
  return classes(styles.button, styles[look], isSmall && styles.small, isIcon && styles.icon);
}

export function Button({ look, isSmall, isIcon, ...rest }: ButtonProps) {
  return <AriaButton {...rest} className={buttonClass(look, isSmall, isIcon)} />;
}
