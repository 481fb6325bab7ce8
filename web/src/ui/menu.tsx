import { Menu as AriaMenu, MenuItem, MenuTrigger, Popover } from 'react-aria-components';
import { Button } from './button.tsx';
import { classes } from './classes.ts';
import field from './field.module.css';
import { Icon } from './icons.tsx';
import styles from './menu.module.css';

export interface Action {
  readonly id: string;
  readonly text: string;
  readonly isDanger?: boolean;
  readonly run: () => void;
}

/** The menu of actions of one row. */
export function ActionMenu({ label, actions }: { readonly label: string; readonly actions: readonly Action[] }) {
  return (
    <MenuTrigger>
      <Button look="quiet" isIcon isSmall aria-label={label}>
        <Icon name="more" />
      </Button>
      <Popover className={field.popover} placement="bottom end">
        <AriaMenu className={styles.menu} onAction={(key) => actions.find(({ id }) => id === key)?.run()}>
          {actions.map(({ id, text, isDanger }) => (
            <MenuItem key={id} id={id} className={classes(styles.item, isDanger && styles.danger)}>
              {text}
            </MenuItem>
          ))}
        </AriaMenu>
      </Popover>
    </MenuTrigger>
  );
}
